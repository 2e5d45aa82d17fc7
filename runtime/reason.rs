//! Why a task waits: a word for people, in Go's terms where Go has one.
//!
//! Go counterpart: `type waitReason`, `waitReasonStrings` (`runtime2.go`).
//!
//! A leaf future that returns `Pending` because it waits says so by `preempt::waits`; the last one to say it before the
//! poll ends has the word. A future that is not ours says nothing, and if one of ours was refused in the same poll, and not by
//! a `select!` or a `timeout` of ours, then that one has the word in its place.
//!
//! Absent: Go's reasons that tasks here do not have (garbage collection, finalizers, "chan receive (nil chan)").

/// Why a task waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub(crate) enum Reason {
    /// It did not say: the future that it waits for is not one of ours.
    #[default]
    Unsaid = 0,
    ChanReceive,
    ChanSend,
    Select,
    Sleep,
    Ticker,
    Mutex,
    RwLockRead,
    RwLockWrite,
    Semaphore,
    Cond,
    Notify,
    Barrier,
    Once,
    WaitGroup,
    Join,
    Group,
    GroupTurn,
    ContextDone,
    BlockingPermit,
}

impl Reason {
    const ALL: [Self; 20] = [
        Self::Unsaid,
        Self::ChanReceive,
        Self::ChanSend,
        Self::Select,
        Self::Sleep,
        Self::Ticker,
        Self::Mutex,
        Self::RwLockRead,
        Self::RwLockWrite,
        Self::Semaphore,
        Self::Cond,
        Self::Notify,
        Self::Barrier,
        Self::Once,
        Self::WaitGroup,
        Self::Join,
        Self::Group,
        Self::GroupTurn,
        Self::ContextDone,
        Self::BlockingPermit,
    ];

    /// The reason with this number; [`Reason::Unsaid`] if there is none.
    pub(crate) fn from_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or_default()
    }

    /// As it is printed; empty if it did not say.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Unsaid => "",
            Self::ChanReceive => "chan receive",
            Self::ChanSend => "chan send",
            Self::Select => "select",
            Self::Sleep => "sleep",
            Self::Ticker => "ticker",
            Self::Mutex => "sync.Mutex.Lock",
            Self::RwLockRead => "sync.RWMutex.RLock",
            Self::RwLockWrite => "sync.RWMutex.Lock",
            Self::Semaphore => "semacquire",
            Self::Cond => "sync.Cond.Wait",
            Self::Notify => "notify",
            Self::Barrier => "barrier",
            Self::Once => "sync.Once.Do",
            Self::WaitGroup => "sync.WaitGroup.Wait",
            Self::Join => "join",
            Self::Group => "errgroup",
            Self::GroupTurn => "errgroup limit",
            Self::ContextDone => "context done",
            Self::BlockingPermit => "blocking permit",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_comes_back_from_its_number_and_has_a_text_of_its_own() {
        for (n, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, n);
            assert_eq!(Reason::from_number(n as u8), reason);
            assert!(Reason::ALL.iter().filter(|other| other.text() == reason.text()).count() == 1);
        }
        assert_eq!(Reason::from_number(Reason::ALL.len() as u8), Reason::Unsaid);
    }
}
