//! Draws a chart as SVG: a line per runtime, its name at the line's end.

use std::io;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::ink::{self, Ink};
use crate::spec::Runtime;

/// Twice as large as it is shown: the library draws at whole numbers, and so lines come out smooth.
const SIZE: (u32, u32) = (1040, 700);
/// Of all text. The library makes it smaller by a quarter; what is left can be read on a narrow screen.
const TEXT_SIZE: i32 = 37;
/// Beside the plot, for the names of the lines.
const NAMES_WIDTH: i32 = 166;
/// Least distance of two names.
const NAMES_APART: i32 = 40;

/// What is drawn.
pub(crate) struct Chart {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
}

/// One runtime's points, ascending in x, all finite and at least one.
pub(crate) struct Line {
    pub(crate) runtime: Runtime,
    pub(crate) points: Vec<(f64, f64)>,
    /// Lowest and highest at each point, or nothing. Where given, each point has a marker, else the last alone.
    pub(crate) spread: Vec<(f64, f64)>,
    /// The point to set off by a ring.
    pub(crate) ringed: Option<usize>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

impl Chart {
    pub(crate) fn svg(&self) -> io::Result<String> {
        let mut svg = String::new();
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        self.draw(&root).map_err(|e| io::Error::other(e.to_string()))?;
        drop(root);
        Ok(svg)
    }

    fn draw(&self, root: &Area<'_>) -> Drawn {
        let (x, y) = (&self.x, &self.y);
        let mut chart = ChartBuilder::on(root)
            .margin_top(72)
            .margin_right(NAMES_WIDTH)
            .x_label_area_size(112)
            .y_label_area_size(142)
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(ink::GRID.colour().stroke_width(2))
            .axis_style(ink::AXIS.colour().stroke_width(2))
            .label_style(text())
            .x_desc(&x.title)
            .set_all_tick_mark_size(12) // so that the lowest and the leftmost figure do not meet
            .draw()?;
        root.draw(&Text::new(y.title.clone(), (8, 8), text()))?;

        let mut names = Vec::new();
        for line in &self.lines {
            let ink = Ink::of(line.runtime).colour();
            for (&(at, _), &(low, high)) in line.points.iter().zip(&line.spread) {
                chart
                    .draw_series([PathElement::new([(at, low), (at, high)], ink.mix(0.7).stroke_width(3))])?;
            }
            chart.draw_series([PathElement::new(line.points.clone(), ink.stroke_width(ink::LINE))])?;
            let marked = if line.spread.is_empty() { line.points.len() - 1 } else { 0 };
            let pixels: Vec<_> = line.points.iter().map(|point| chart.backend_coord(point)).collect();
            pixels[marked..].iter().try_for_each(|&at| mark(root, line.runtime, at))?;
            if let Some(ringed) = line.ringed {
                root.draw(&Circle::new(pixels[ringed], 19, ink.stroke_width(3)))?;
            }
            names.push((pixels[pixels.len() - 1].1, line.runtime));
        }
        let bottom = chart.plotting_area().get_pixel_range().1.end;
        let column = SIZE.0 as i32 - NAMES_WIDTH + 34;
        for (at, runtime) in apart(names, bottom) {
            mark(root, runtime, (column, at))?;
            root.draw(&Text::new(
                runtime.name(),
                (column + 20, at),
                text().pos(Pos::new(HPos::Left, VPos::Center)),
            ))?;
        }
        root.present()
    }
}

fn text() -> TextStyle<'static> {
    ("sans-serif", TEXT_SIZE).into_font().color(&ink::TEXT.colour())
}

/// The marker of a runtime: a disc, a square, a triangle.
fn mark(root: &Area<'_>, runtime: Runtime, at: (i32, i32)) -> Drawn {
    let filled = Ink::of(runtime).colour().filled();
    match runtime {
        Runtime::Gmprt => root.draw(&Circle::new(at, 9, filled)),
        Runtime::Tokio => root.draw(&Rectangle::new([(at.0 - 8, at.1 - 8), (at.0 + 8, at.1 + 8)], filled)),
        Runtime::Go => root.draw(&TriangleMarker::new(at, 11, filled)),
    }
}

/// Moves names that would overlap: down, and from the lowest back up where there is no more room.
fn apart(mut names: Vec<(i32, Runtime)>, bottom: i32) -> Vec<(i32, Runtime)> {
    names.sort_by_key(|name| name.0);
    let mut free = i32::MIN;
    for name in &mut names {
        name.0 = name.0.max(free);
        free = name.0 + NAMES_APART;
    }
    let mut limit = bottom;
    for name in names.iter_mut().rev() {
        name.0 = name.0.min(limit);
        limit = name.0 - NAMES_APART;
    }
    names
}
