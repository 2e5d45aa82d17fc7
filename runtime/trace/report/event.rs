//! One event of a trace file, as far as the report reads it.
//!
//! Go counterpart: none; `internal/trace.Event` is the like of it.
//!
//! V1. Times are whole nanoseconds, taken from the file's decimal text (µs with three decimals): nothing is lost on the way.
//! V2. Text is borrowed from the file where it has no escapes.
//! V3. An event is read to its end even if it is not in gmprt's form: only so is it known to be JSON.
//!
//! Absent: the arguments that are there for a viewer only; `Args::unknown` counts them.
//!
//! Length: the values, what is made of them, and the tests of both; a value is read by its event's fields and by nothing else.

use json_event_parser::{JsonEvent, JsonSyntaxError, LowLevelJsonParser};
use std::borrow::Cow;

/// Text that is borrowed if it can be.
pub(super) type Text<'a> = Cow<'a, str>;

/// A time in ns that stands in the file in µs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ns(pub(super) u64);

impl Ns {
    /// No time is as long as this, 31 years.
    const TOO_LONG: u64 = 1_000_000_000_000_000_000;

    /// The time in this text, which is a number of JSON.
    fn from_micros(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let ns = match (whole.parse::<u64>(), decimals.as_bytes()) {
            (Ok(micros), b"") => micros.checked_mul(1000)?,
            (Ok(micros), &[a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']) => {
                let [a, b, c] = [a, b, c].map(|digit| u64::from(digit - b'0'));
                micros.checked_mul(1000)?.checked_add(100 * a + 10 * b + c)?
            }
            _ => {
                // Another tool has set it anew. `contains` is false for what is no number.
                let micros: f64 = text.parse().ok()?;
                if !(0.0..Self::TOO_LONG as f64 / 1000.0).contains(&micros) {
                    return None;
                }
                (micros * 1000.0).round() as u64
            }
        };
        (ns < Self::TOO_LONG).then_some(Self(ns))
    }
}

/// An event. What it does not have is empty.
#[derive(Debug, Default)]
pub(super) struct Event<'a> {
    pub(super) ph: Text<'a>,
    pub(super) name: Text<'a>,
    pub(super) cat: Text<'a>,
    pub(super) pid: u64,
    pub(super) tid: u64,
    pub(super) ts: Ns,
    pub(super) dur: Ns,
    pub(super) args: Args<'a>,
}

/// What one value of the list is.
pub(super) enum Parsed<'a> {
    /// An event in the form that gmprt writes, whoever wrote it.
    Event(Box<Event<'a>>),
    /// An event of another form.
    Strange,
    /// No event.
    Other,
}

/// Parses one value; an error if it is not JSON.
pub(super) fn parse(text: &[u8]) -> Result<Parsed<'_>, JsonSyntaxError> {
    let mut values = Values::new(text);
    let mut event = Box::<Event<'_>>::default();
    let mut has_ph = false;
    match values.next()? {
        JsonEvent::StartObject => {
            while let Some(key) = values.key()? {
                match &*key {
                    "ph" => {
                        has_ph = true;
                        values.read(&mut event.ph)?;
                    }
                    "name" => values.read(&mut event.name)?,
                    "cat" => values.read(&mut event.cat)?,
                    "pid" => values.read(&mut event.pid)?,
                    "tid" => values.read(&mut event.tid)?,
                    "ts" => values.read(&mut event.ts)?,
                    "dur" => values.read(&mut event.dur)?,
                    "args" => event.args = Args::read(&mut values)?,
                    _ => values.pass_over()?,
                }
            }
        }
        first => values.rest_of(&first)?,
    }
    values.end()?;
    Ok(match values.strange {
        true if has_ph => Parsed::Strange,
        false if !event.ph.is_empty() => Parsed::Event(event),
        _ => Parsed::Other,
    })
}

/// Checks that this is one value, whole.
pub(super) fn check(text: &[u8]) -> Result<(), JsonSyntaxError> {
    Values::new(text).end()
}

/// The values of an object, one after the other.
struct Values<'a> {
    json: LowLevelJsonParser,
    /// What of the text was not read.
    rest: &'a [u8],
    /// One of them was not of the type that it should be.
    strange: bool,
}

impl<'a> Values<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { json: LowLevelJsonParser::new(), rest: text, strange: false }
    }

    /// What comes next. As `SliceJsonParser` does it, less a copy of each step.
    #[inline]
    fn next(&mut self) -> Result<JsonEvent<'a>, JsonSyntaxError> {
        loop {
            let step = self.json.parse_next(self.rest, true);
            self.rest = &self.rest[step.consumed_bytes..];
            if let Some(event) = step.event {
                return event;
            }
        }
    }

    /// Reads on to the end of the text.
    fn end(&mut self) -> Result<(), JsonSyntaxError> {
        while self.next()? != JsonEvent::Eof {}
        Ok(())
    }

    /// The next key, unless this is the object's end.
    fn key(&mut self) -> Result<Option<Text<'a>>, JsonSyntaxError> {
        Ok(match self.next()? {
            JsonEvent::ObjectKey(key) => Some(key),
            _ => None,
        })
    }

    /// Reads the next value, and leaves `to` as it is if that is of another type.
    fn read<T: Value<'a>>(&mut self, to: &mut T) -> Result<(), JsonSyntaxError> {
        let first = self.next()?;
        let opens = matches!(first, JsonEvent::StartArray | JsonEvent::StartObject);
        match T::of(first) {
            Some(value) => *to = value,
            None => self.strange = true,
        }
        if opens { self.close() } else { Ok(()) }
    }

    fn pass_over(&mut self) -> Result<(), JsonSyntaxError> {
        let first = self.next()?;
        self.rest_of(&first)
    }

    /// Passes over what remains of a value that begins so.
    fn rest_of(&mut self, first: &JsonEvent<'_>) -> Result<(), JsonSyntaxError> {
        match first {
            JsonEvent::StartArray | JsonEvent::StartObject => self.close(),
            _ => Ok(()),
        }
    }

    /// Passes over what remains of the list or object that was begun last.
    fn close(&mut self) -> Result<(), JsonSyntaxError> {
        let mut depth = 1;
        while depth > 0 {
            match self.next()? {
                JsonEvent::StartArray | JsonEvent::StartObject => depth += 1,
                JsonEvent::EndArray | JsonEvent::EndObject => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }
}

/// What can be made of a value.
trait Value<'a>: Sized {
    /// `None` if it is of another type. Of a list and of an object this is the beginning.
    fn of(value: JsonEvent<'a>) -> Option<Self>;
}

impl<'a, T: Value<'a>> Value<'a> for Option<T> {
    fn of(value: JsonEvent<'a>) -> Option<Self> {
        T::of(value).map(Some)
    }
}

impl<'a> Value<'a> for Text<'a> {
    fn of(value: JsonEvent<'a>) -> Option<Self> {
        match value {
            JsonEvent::String(text) => Some(text),
            _ => None,
        }
    }
}

impl Value<'_> for u64 {
    fn of(value: JsonEvent<'_>) -> Option<Self> {
        match value {
            JsonEvent::Number(text) => text.parse().ok(),
            _ => None,
        }
    }
}

impl Value<'_> for f64 {
    fn of(value: JsonEvent<'_>) -> Option<Self> {
        match value {
            JsonEvent::Number(text) => text.parse().ok(),
            _ => None,
        }
    }
}

impl Value<'_> for bool {
    fn of(value: JsonEvent<'_>) -> Option<Self> {
        match value {
            JsonEvent::Boolean(value) => Some(value),
            _ => None,
        }
    }
}

impl Value<'_> for Ns {
    fn of(value: JsonEvent<'_>) -> Option<Self> {
        match value {
            JsonEvent::Number(text) => Self::from_micros(&text),
            _ => None,
        }
    }
}

/// The arguments, by their names in the file; those that are missing are `None`.
macro_rules! args {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        #[derive(Debug, Default)]
        pub(super) struct Args<'a> {
            $($(#[$doc])* pub(super) $name: Option<$type>,)*
            /// How many others there are.
            pub(super) unknown: u64,
        }

        impl<'a> Args<'a> {
            fn read(values: &mut Values<'a>) -> Result<Self, JsonSyntaxError> {
                let mut args = Self::default();
                let first = values.next()?;
                if first != JsonEvent::StartObject {
                    values.strange = true;
                    values.rest_of(&first)?;
                    return Ok(args);
                }
                while let Some(key) = values.key()? {
                    match &*key {
                        $(stringify!($name) => values.read(&mut args.$name)?,)*
                        _ => {
                            values.pass_over()?;
                            args.unknown += 1;
                        }
                    }
                }
                Ok(args)
            }
        }
    };
}

args! {
    // of runs
    g: u64,
    m: Number,
    wait_us: Ns,
    end: Text<'a>,
    seq: u64,
    woke: Text<'a>,
    by: Text<'a>,
    on: Text<'a>,
    site: Text<'a>,
    exit: Text<'a>,
    resumed: bool,
    // of steals, and of what is done with many tasks at once
    victim: Text<'a>,
    thief: Text<'a>,
    n: u64,
    tries: u64,
    fired: u64,
    // of hand-offs and retakes
    from: Number,
    why: Text<'a>,
    turn: u64,
    p: Number,
    // of tracks
    name: Text<'a>,
    sort_index: f64,
    // of the trace itself
    version: Loose,
    clock: Loose,
    records: u64,
    dropped: u64,
    clamped: u64,
    reordered: u64,
    tasks: u64,
    task_tracks: u64,
    tasks_left_out: u64,
    thread_tracks_left_out: u64,
    full: bool,
}

/// The number in `M3`, `P1`, `G7`.
pub(super) fn number_of(prefix: char, text: &str) -> Option<u64> {
    text.strip_prefix(prefix)?.parse().ok()
}

/// A number, or a text of one letter and a number: `3` and `"M3"` are the same M.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(pub(super) u64);

impl Value<'_> for Number {
    fn of(value: JsonEvent<'_>) -> Option<Self> {
        match value {
            JsonEvent::Number(text) => text.parse().ok(),
            JsonEvent::String(text) => text.chars().next().and_then(|letter| number_of(letter, &text)),
            _ => None,
        }
        .map(Self)
    }
}

/// A text, a number or a word, to be printed; of a list or an object nothing.
#[derive(Debug, Clone)]
pub(super) struct Loose(pub(super) String);

impl Value<'_> for Loose {
    fn of(value: JsonEvent<'_>) -> Option<Self> {
        Some(Self(match value {
            JsonEvent::String(text) | JsonEvent::Number(text) => text.into_owned(),
            JsonEvent::Boolean(value) => value.to_string(),
            JsonEvent::Null => "null".to_owned(),
            _ => String::new(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Event<'_> {
        match parse(text.as_bytes()) {
            Ok(Parsed::Event(event)) => *event,
            _ => panic!("{text} is an event"),
        }
    }

    #[test]
    fn times_are_exact_to_the_nanosecond() {
        for ns in
            [0, 1, 999, 1_000, 1_001, 123_456_789, 86_400_000_000_001, (1 << 52) - 1, 999_999_999_999_999_999]
        {
            let text =
                format!(r#"{{"ph":"X","ts":{}.{:03},"args":{{"wait_us":{}}}}}"#, ns / 1000, ns % 1000, 7);
            let event = event(&text);
            assert_eq!(event.ts, Ns(ns));
            assert_eq!(event.args.wait_us, Some(Ns(7_000)));
        }
        for (text, ns) in
            [("0", 0), ("1.5", 1_500), ("2e3", 2_000_000), ("0.0004", 0), ("1.0006", 1_001), ("-0.0", 0)]
        {
            assert_eq!(Ns::from_micros(text), Some(Ns(ns)), "{text}");
        }
        for text in ["-1", "-0.001", "1e15", "1000000000000000.000", "18446744073709551615", "1e999"] {
            assert_eq!(Ns::from_micros(text), None, "{text}");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_does_not_hide_what_follows() {
        let text = r#"{"args":{"g":[{"g":1}],"m":{"a":[]},"n":3},"ph":"X"}"#;
        assert!(matches!(parse(text.as_bytes()), Ok(Parsed::Strange)));
        let about = event(r#"{"ph":"i","args":{"version":{"a":[1]},"clock":2.5,"full":true}}"#);
        let text = |it: &Option<Loose>| it.as_ref().map(|it| it.0.clone());
        assert_eq!(text(&about.args.version).as_deref(), Some(""));
        assert_eq!(text(&about.args.clock).as_deref(), Some("2.5"));
        assert_eq!(about.args.full, Some(true));
    }

    #[test]
    fn what_is_not_known_is_passed_over_and_counted() {
        let event =
            event(r#"{"ph":"X","na\u006de":"a\nb","new":[{}],"args":{"g":7,"new":{"g":8},"m":"M3"}}"#);
        assert_eq!((&*event.name, event.args.g, event.args.unknown), ("a\nb", Some(7), 1));
        assert_eq!(event.args.m, Some(Number(3)));
    }

    #[test]
    fn other_values_are_told_apart() {
        for strange in
            [r#"{"ph":"X","pid":"a"}"#, r#"{"ph":1}"#, r#"{"ph":"X","ts":-1}"#, r#"{"ph":"X","args":[]}"#]
        {
            assert!(matches!(parse(strange.as_bytes()), Ok(Parsed::Strange)), "{strange}");
        }
        for other in ["1", "[]", "{}", "null", r#"{"name":"x"}"#, r#"{"name":1}"#] {
            assert!(matches!(parse(other.as_bytes()), Ok(Parsed::Other)), "{other}");
        }
        for broken in [
            "",
            "x",
            "1 2",
            r#"{"ph":1"#,
            r#"{"ph":"X","args":{"g":[}}"#,
            "{} {}",
            r#"{"ph":"X",}"#,
            r#"{"ph":"X" "b":1}"#,
            "{]",
        ] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
