//! A strict parser of Go 1.27's scheduler trace, written from `schedtrace` in Go's `proc.go`: one function for each of its
//! `print`s. It knows nothing of ours.

/// What both forms of the first line begin with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counts {
    pub(crate) ms: u64,
    pub(crate) procs: u64,
    pub(crate) idle_procs: u64,
    pub(crate) threads: u64,
    pub(crate) spinning: u64,
    pub(crate) need_spinning: u64,
    pub(crate) idle_threads: u64,
    pub(crate) runqueue: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct P {
    pub(crate) id: u64,
    pub(crate) status: u64,
    pub(crate) m: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct M {
    pub(crate) id: u64,
    pub(crate) p: Option<u64>,
    pub(crate) g: Option<u64>,
    pub(crate) blocked: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct G {
    pub(crate) id: u64,
    pub(crate) status: u64,
    pub(crate) why: String,
    pub(crate) m: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Line {
    /// The short form: lengths of the queues, schedticks.
    Short(Counts, Vec<u64>, Vec<u64>),
    /// The first line of a block.
    Head(Counts),
    P(P),
    M(M),
    G(G),
}

/// One line, without its end. The error tells where it ceases to be Go's.
pub(crate) fn parse(line: &str) -> Result<Line, String> {
    let mut rest = Rest(line);
    let parsed = if line.starts_with("SCHED ") {
        rest.first()
    } else if line.starts_with("  P") {
        rest.p()
    } else if line.starts_with("  M") {
        rest.m()
    } else {
        rest.g()
    };
    let parsed = parsed.and_then(|parsed| if rest.0.is_empty() { Ok(parsed) } else { Err("the end".into()) });
    parsed.map_err(|expected| format!("{expected} expected where {:?} stands in {line:?}", rest.0))
}

/// What of a line is yet to be read.
struct Rest<'a>(&'a str);

/// What was expected, if it is not there.
type Read<T> = Result<T, String>;

impl Rest<'_> {
    fn text(&mut self, text: &str) -> Read<()> {
        self.0 = self.0.strip_prefix(text).ok_or_else(|| format!("{text:?}"))?;
        Ok(())
    }

    /// As Go prints an unsigned number: digits, no leading zero.
    fn number(&mut self) -> Read<u64> {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        if digits.len() > 1 && digits.starts_with('0') {
            return Err("a number".into());
        }
        let number = digits.parse().map_err(|_| "a number")?;
        self.0 = rest;
        Ok(number)
    }

    fn number_after(&mut self, text: &str) -> Read<u64> {
        self.text(text)?;
        self.number()
    }

    /// A number that Go's type lets be negative; `nmidlelocked` is -1 now and then, as Go starts.
    fn signed_after(&mut self, text: &str) -> Read<()> {
        self.text(text)?;
        let _sign = self.text("-");
        self.number().map(drop)
    }

    /// One of 32 bits, as Go's ticks are.
    fn tick_after(&mut self, text: &str) -> Read<u64> {
        let tick = self.number_after(text)?;
        if tick > u64::from(u32::MAX) { Err("a number of 32 bits before this".into()) } else { Ok(tick) }
    }

    fn or_nil_after(&mut self, text: &str) -> Read<Option<u64>> {
        self.text(text)?;
        if self.text("nil").is_ok() { Ok(None) } else { self.number().map(Some) }
    }

    fn bool_after(&mut self, text: &str) -> Read<bool> {
        self.text(text)?;
        if self.text("true").is_ok() { Ok(true) } else { self.text("false").map(|()| false) }
    }

    /// All up to a blank; Go's reasons for `preemptoff` are words, or nothing.
    fn word(&mut self) {
        self.0 = &self.0[self.0.find(' ').unwrap_or(self.0.len())..];
    }

    /// All up to `end`, which is read too.
    fn up_to(&mut self, end: &str) -> Read<String> {
        let (before, after) = self.0.split_once(end).ok_or_else(|| format!("{end:?}"))?;
        self.0 = after;
        Ok(before.to_owned())
    }

    fn first(&mut self) -> Read<Line> {
        let ms = self.number_after("SCHED ")?;
        let counts = Counts {
            ms,
            procs: self.number_after("ms: gomaxprocs=")?,
            idle_procs: self.number_after(" idleprocs=")?,
            threads: self.number_after(" threads=")?,
            spinning: self.number_after(" spinningthreads=")?,
            need_spinning: self.number_after(" needspinning=")?,
            idle_threads: self.number_after(" idlethreads=")?,
            runqueue: self.number_after(" runqueue=")?,
        };
        if self.text(" [ ").is_err() {
            self.bool_after(" gcwaiting=")?;
            self.signed_after(" nmidlelocked=")?;
            self.signed_after(" stopwait=")?;
            self.bool_after(" sysmonwait=")?;
            return Ok(Line::Head(counts));
        }
        let (mut queues, mut ticks) = (vec![self.number()?], Vec::new());
        while self.text(" ]").is_err() {
            queues.push(self.number_after(" ")?);
        }
        self.text(" schedticks=[ ")?;
        while self.text("]").is_err() {
            ticks.push(self.tick_after("")?);
            self.text(" ")?;
        }
        Ok(Line::Short(counts, queues, ticks))
    }

    fn p(&mut self) -> Read<Line> {
        let id = self.number_after("  P")?;
        let status = self.number_after(": status=")?;
        self.tick_after(" schedtick=")?;
        self.tick_after(" syscalltick=")?;
        let m = self.or_nil_after(" m=")?;
        self.number_after(" runqsize=")?;
        self.number_after(" gfreecnt=")?;
        self.number_after(" timerslen=")?;
        Ok(Line::P(P { id, status, m }))
    }

    fn m(&mut self) -> Read<Line> {
        let id = self.number_after("  M")?;
        let p = self.or_nil_after(": p=")?;
        let g = self.or_nil_after(" curg=")?;
        self.signed_after(" mallocing=")?;
        self.signed_after(" throwing=")?;
        self.text(" preemptoff=")?;
        self.word();
        self.signed_after(" locks=")?;
        self.signed_after(" dying=")?;
        self.bool_after(" spinning=")?;
        let blocked = self.bool_after(" blocked=")?;
        self.or_nil_after(" lockedg=")?;
        Ok(Line::M(M { id, p, g, blocked }))
    }

    fn g(&mut self) -> Read<Line> {
        let id = self.number_after("  G")?;
        let status = self.number_after(": status=")?;
        self.text("(")?;
        let why = self.up_to(") m=")?;
        let m = self.or_nil_after("")?;
        self.or_nil_after(" lockedm=")?;
        Ok(Line::G(G { id, status, why, m }))
    }
}
