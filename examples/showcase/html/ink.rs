//! Colours: what a plot is drawn in, and what that becomes on a dark page.
//!
//! The drawing library writes a colour into each element, as an attribute. A stylesheet outranks attributes, so the dark
//! page is the same drawing with one rule for each colour. Those of the runtimes are Okabe and Ito's, which colour-blind
//! people can tell apart; each runtime has its dashes and its marker as well.

use std::fmt::Write;

use plotters::style::RGBColor;

use crate::spec::Runtime;

/// A colour on a light page, and the one that stands for it on a dark page.
pub(crate) struct Ink {
    light: RGBColor,
    dark: &'static str,
}

pub(crate) const TEXT: Ink = Ink { light: RGBColor(0x33, 0x38, 0x3d), dark: "#c9ced4" };
pub(crate) const AXIS: Ink = Ink { light: RGBColor(0x8b, 0x92, 0x99), dark: "#7a828a" };
pub(crate) const GRID: Ink = Ink { light: RGBColor(0xe2, 0xe5, 0xe8), dark: "#32373c" };
const GMPRT: Ink = Ink { light: RGBColor(0x00, 0x72, 0xb2), dark: "#56b4e9" };
const TOKIO: Ink = Ink { light: RGBColor(0xd5, 0x5e, 0x00), dark: "#f28e3c" };
const GO: Ink = Ink { light: RGBColor(0x00, 0x9e, 0x73), dark: "#2fd0a0" };

/// How wide the line of a runtime is: it tells those from whiskers, which have no dashes.
pub(crate) const LINE: u32 = 5;

impl Ink {
    pub(crate) fn of(runtime: Runtime) -> &'static Ink {
        match runtime {
            Runtime::Gmprt => &GMPRT,
            Runtime::Tokio => &TOKIO,
            Runtime::Go => &GO,
        }
    }

    /// What to draw with.
    pub(crate) fn colour(&self) -> RGBColor {
        self.light
    }

    /// As the drawing library writes it.
    fn attribute(&self) -> String {
        let RGBColor(r, g, b) = self.light;
        format!("#{r:02X}{g:02X}{b:02X}")
    }
}

/// The rules for all plots of the page.
pub(crate) fn style() -> String {
    let mut css = String::new();
    for (ink, dashes) in [(&TOKIO, "18 9"), (&GO, "4 8")] {
        let colour = ink.attribute();
        let _ = writeln!(
            css,
            "polyline[stroke=\"{colour}\"][stroke-width=\"{LINE}\"] {{ stroke-dasharray: {dashes} }}"
        );
    }
    css += "@media (prefers-color-scheme: dark) {\n";
    for ink in [&TEXT, &AXIS, &GRID, &GMPRT, &TOKIO, &GO] {
        let (colour, dark) = (ink.attribute(), ink.dark);
        let _ = writeln!(css, "  svg [fill=\"{colour}\"] {{ fill: {dark} }}");
        let _ = writeln!(css, "  svg [stroke=\"{colour}\"] {{ stroke: {dark} }}");
    }
    css + "}\n"
}
