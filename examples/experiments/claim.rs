//! What the article says, beside what was measured.
//!
//! The article is the one that this project grew from: "Go concurrency in practice: three scenarios of high concurrency
//! in 12 lines each, with figures".

use std::fmt;

/// A sentence of the article, held against a measurement.
pub(crate) struct Claim {
    /// What the article says, in English.
    pub(crate) article: &'static str,
    /// What was found here, with its figures.
    pub(crate) measured: String,
    /// Whether that is what the article says.
    pub(crate) agrees: bool,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.agrees { "they agree" } else { "they DISAGREE" };
        writeln!(f, "the article: {}", self.article)?;
        writeln!(f, "measured:    {}", self.measured)?;
        writeln!(f, "             {verdict}")
    }
}
