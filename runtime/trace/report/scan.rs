//! Cuts a trace file into its events, one at a time, without reading it whole.
//!
//! Go counterpart: none.
//!
//! ```text
//!   [ event, event, … ]                                 array form
//!   { "key": value, "traceEvents": [ event, … ] }       object form: its other keys are passed over
//! ```
//!
//! C1. Only one value is held in memory. Where it ends is found by its brackets and quotes; that it is JSON is for
//!     who parses it.
//! C2. A file may end anywhere after its list of events has begun: [`Ending`] says where.
//! C3. Lines have no meaning: a file that another tool has set anew is read as well.
//!
//! Absent: a tree of the whole file.

use super::event::check;
use super::{Ending, ReportError};
use json_event_parser::{JsonSyntaxError, LowLevelJsonParser};
use std::io::BufRead;

/// Calls `each` with every event's text. What `each` refuses is not JSON.
pub(super) fn events(
    input: impl BufRead,
    mut each: impl FnMut(&[u8]) -> Result<(), JsonSyntaxError>,
) -> Result<Ending, ReportError> {
    let mut scanner = Scanner { input, at: 0, value: Vec::new() };
    let ending = match scanner.peek()? {
        None => return Err(ReportError::Empty),
        Some(b'[') => scanner.array(&mut each)?,
        Some(b'{') => scanner.object(&mut each)?,
        Some(_) => {
            scanner.scalar()?;
            None
        }
    };
    if ending.is_none_or(|ending| ending == Ending::Whole) && scanner.peek()?.is_some() {
        return Err(scanner.not_json("something follows its end"));
    }
    ending.ok_or(ReportError::NoTrace)
}

struct Scanner<R> {
    input: R,
    /// Bytes that were consumed.
    at: u64,
    /// The value that was read last.
    value: Vec<u8>,
}

impl<R: BufRead> Scanner<R> {
    fn not_json(&self, why: impl ToString) -> ReportError {
        ReportError::NotJson { at: self.at, why: why.to_string() }
    }

    /// What is wrong with the value read last, which began at `start`.
    fn bad_value(&self, start: u64, error: &JsonSyntaxError) -> ReportError {
        // Its line and column would count from the value's start, and mislead: only its message is taken, as a clause.
        let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        let mut message = error.message().chars().map(clean);
        let first = message.next().map(|c| c.to_ascii_lowercase());
        ReportError::NotJson { at: start, why: first.into_iter().chain(message).collect() }
    }

    /// The next byte that is no white space; it stays.
    fn peek(&mut self) -> Result<Option<u8>, ReportError> {
        loop {
            let chunk = self.input.fill_buf().map_err(ReportError::Read)?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let blank = chunk.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let found = chunk.get(blank).copied();
            self.consume(blank);
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    fn consume(&mut self, n: usize) {
        self.input.consume(n);
        self.at += n as u64;
    }

    /// Reads one value; whether it came to its end.
    fn take(&mut self) -> Result<bool, ReportError> {
        self.value.clear();
        let (mut depth, mut quoted, mut escaped) = (0u32, false, false);
        let mut plain = false; // a number or a word: it ends where something else begins
        loop {
            let chunk = self.input.fill_buf().map_err(ReportError::Read)?;
            if chunk.is_empty() {
                return Ok(plain);
            }
            let mut used = 0;
            let mut complete = false;
            for &byte in chunk {
                if plain && (byte.is_ascii_whitespace() || b",]}:".contains(&byte)) {
                    complete = true;
                    break;
                }
                used += 1;
                match byte {
                    _ if plain => {}
                    _ if escaped => escaped = false,
                    b'\\' if quoted => escaped = true,
                    b'"' => {
                        quoted = !quoted;
                        complete = !quoted && depth == 0;
                    }
                    _ if quoted => {}
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth = depth.saturating_sub(1);
                        complete = depth == 0;
                    }
                    _ => plain = depth == 0,
                }
                if complete {
                    break;
                }
            }
            self.value.extend_from_slice(&chunk[..used]);
            self.consume(used);
            if complete {
                return Ok(true);
            }
        }
    }

    /// A file that is one number or word.
    fn scalar(&mut self) -> Result<(), ReportError> {
        let start = self.at;
        self.take()?;
        self.check(start)
    }

    /// Complains if the value read last is not JSON.
    fn check(&self, start: u64) -> Result<(), ReportError> {
        check(&self.value).map_err(|error| self.bad_value(start, &error))
    }

    fn array(
        &mut self,
        each: &mut impl FnMut(&[u8]) -> Result<(), JsonSyntaxError>,
    ) -> Result<Option<Ending>, ReportError> {
        self.consume(1);
        let mut first = true;
        loop {
            match self.peek()? {
                None => return Ok(Some(Ending::BetweenEvents)),
                Some(b']') => {
                    self.consume(1);
                    return Ok(Some(Ending::Whole));
                }
                Some(_) => {}
            }
            let start = self.at;
            if !self.take()? {
                // Cut in its middle; if it is the first, it has to look like the beginning of something.
                if first {
                    could_begin(&self.value).map_err(|error| self.bad_value(start, &error))?;
                }
                return Ok(Some(Ending::InsideEvent));
            }
            each(&self.value).map_err(|error| self.bad_value(start, &error))?;
            first = false;
            match self.peek()? {
                Some(b',') => self.consume(1),
                Some(b']') | None => {}
                Some(_) => return Err(self.not_json("a comma is missing in a list")),
            }
        }
    }

    fn object(
        &mut self,
        each: &mut impl FnMut(&[u8]) -> Result<(), JsonSyntaxError>,
    ) -> Result<Option<Ending>, ReportError> {
        let mut found = None;
        self.consume(1);
        loop {
            match self.peek()? {
                Some(b'}') => {
                    self.consume(1);
                    return Ok(found);
                }
                Some(b'"') => {}
                None if found.is_some() => return Ok(Some(Ending::BetweenEvents)),
                None => return Err(self.not_json("it ends in its middle")),
                Some(_) => return Err(self.not_json("a key in quotes is missing")),
            }
            let start = self.at;
            self.take()?;
            self.check(start)?;
            let is_list_of_events = self.value == b"\"traceEvents\"";
            if self.peek()? != Some(b':') {
                return Err(self.not_json("a colon is missing after a key"));
            }
            self.consume(1);
            let start = match self.peek()? {
                Some(b'[') if is_list_of_events => {
                    let ending = self.array(each)?;
                    if ending != Some(Ending::Whole) {
                        return Ok(ending);
                    }
                    found = ending;
                    None
                }
                _ => Some(self.at),
            };
            if let Some(start) = start {
                self.take()?;
                self.check(start)?;
            }
            match self.peek()? {
                Some(b',') => self.consume(1),
                Some(b'}') => {}
                None if found.is_some() => return Ok(Some(Ending::BetweenEvents)),
                _ => return Err(self.not_json("a comma or a closing brace is missing")),
            }
        }
    }
}

/// Complains if no JSON begins with this text, whatever follows.
fn could_begin(mut text: &[u8]) -> Result<(), JsonSyntaxError> {
    let mut json = LowLevelJsonParser::new();
    // It waits for three bytes, to see whether they are this mark; so it need not.
    json.parse_next("\u{feff}".as_bytes(), false);
    loop {
        let step = json.parse_next(text, false);
        text = &text[step.consumed_bytes..];
        match step.event {
            Some(event) => event?,
            None => return Ok(()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    /// The events that are found, which must not depend on the pieces in which the file comes.
    fn found(text: &str) -> Result<(Vec<String>, Ending), ReportError> {
        let in_pieces_of = |size| {
            let mut all = Vec::new();
            let ending = events(BufReader::with_capacity(size, text.as_bytes()), |value| {
                check(value)?;
                all.push(String::from_utf8_lossy(value).into_owned());
                Ok(())
            })?;
            Ok((all, ending))
        };
        let whole: Result<(Vec<String>, Ending), ReportError> = in_pieces_of(4096);
        for size in [1, 2, 3, 7] {
            let pieces = in_pieces_of(size);
            assert_eq!(format!("{pieces:?}"), format!("{whole:?}"), "{text} in pieces of {size}");
        }
        whole
    }

    #[test]
    fn events_are_found_whatever_is_in_their_strings() {
        let odd = r#"{"a":"]}\\\" ,[{","b":[1,{"c":2}]}"#;
        let plain = r#"{"d":1.5}"#;
        for (text, ending) in [
            (format!("[{odd},{plain}]"), Ending::Whole),
            (format!("[\n{odd},\n{plain},\n]\n"), Ending::Whole),
            (format!(" [ {odd} , {plain}"), Ending::BetweenEvents),
            (format!("[{odd},{plain},\n"), Ending::BetweenEvents),
            (format!("[{odd},{plain},\n{{\"e\":\"x"), Ending::InsideEvent),
            (
                format!(r#"{{"x":{{"traceEvents":[3]}},"traceEvents":[{odd},{plain}],"y":[1,2]}}"#),
                Ending::Whole,
            ),
            (format!(r#"{{"y":null,"traceEvents" : [{odd},{plain}]"#), Ending::BetweenEvents),
            (format!(r#"{{"traceEvents":[{odd},{plain}"#), Ending::BetweenEvents),
            (format!(r#"{{"traceEvents":[{odd},{plain},{{"#), Ending::InsideEvent),
        ] {
            let (events, how) = found(&text).expect(&text);
            assert_eq!(events, [odd, plain], "{text}");
            assert_eq!(how, ending, "{text}");
        }
    }

    #[test]
    fn what_is_no_list_of_events_is_refused() {
        for text in ["", "  \n"] {
            assert!(matches!(found(text), Err(ReportError::Empty)), "{text:?}");
        }
        for text in ["3", "\"[\"", "null", "{}", r#"{"a":[1,2]}"#, r#"{"traceEvents":{"a":1}}"#] {
            assert!(matches!(found(text), Err(ReportError::NoTrace)), "{text:?}");
        }
        for text in [
            "hello",
            "1 2",
            "[1 2]",
            "[1,,2]",
            "[x]",
            "[1]x",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{a:1}",
            "{\"a\" 1}",
            "{\"a\":1 \"b\":2}",
            "[{\"a\":x",
            "[{x",
            "[{\"a\":tru}",
            "\u{0}\u{1}",
            "]",
            "}",
            "\"",
            "[}",
            "[{]",
        ] {
            assert!(matches!(found(text), Err(ReportError::NotJson { .. })), "{text:?}: {:?}", found(text));
        }
    }
}
