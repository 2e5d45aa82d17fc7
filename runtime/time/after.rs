//! A channel that gets one value when a time has come.
//!
//! Go counterpart: `time.After` (`sleep.go: NewTimer, sendTime`), and the timer channels of Go 1.23
//! (`time.go: maybeRunChan, blockTimerChan`).
//!
//! A1. The sender is taken out once: by whoever first finds `when` over, by the end of the runtime, or because the channel
//!     has closed, with its last receiver or by hand. Only who takes it because `when` is over sends.
//! A2. Who takes the sender takes the timer out of its heap too. So what is armed has a channel that is open.
//! A3. The channel refers to this, this by its sender to the channel, and the heap to this as a waker. A1 takes the first
//!     circle apart, A2 the second.
//! A4. No waker is called and nothing is dropped under the lock. The channel's lock is taken within it, never the other
//!     way round: a feed is called with no lock held.
//!
//! ```text
//!   Receiver ──▶ channel ──feed──▶ After ◀── waker in some P's heap
//!                   ▲                │
//!                   └──── Sender ────┘      taken: by wake (the timer fires, or its runtime ends),
//!                                                  by look (somebody is about to receive), by closed
//! ```
//!
//! Absent: a way to reset it (`sleep` has one), and a second value: the channel closes behind the first.

use super::is_doomed;
use crate::chan::{self, Feed, Receiver, Sender};
use crate::sched::timing::{self, ArmError, Armed};
use crate::sync::wake_batch::WakeBatch;
use crate::sys::clock::{self, Nanos};
use crate::sys::primitive::Mutex;
use crate::timers::{Key, Timers};
use std::sync::{Arc, MutexGuard, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

/// Returns a channel that gets one value, the time for which it was scheduled, once `d` is over; then it closes.
///
/// It blocks nothing. Who receives waits as on any channel: the task (G) blocks, and of several one gets the value. Whoever
/// looks when the time is over finds the value there, however late the timers are.
///
/// Dropping the last receiver disarms the timer, and frees it at once. If the runtime ends before the time
/// has come, the channel closes without a value.
///
/// Cancel safe, as any receive.
///
/// # Panics
///
/// Outside of a task and of a `block_on`, as [`sleep`](super::sleep()) does; and if the runtime has shut down.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// gmprt::run(async {
///     let begun = Instant::now();
///     let rx = gmprt::time::after(Duration::from_millis(1));
///     assert!(rx.recv().await.unwrap() >= begun + Duration::from_millis(1));
///     assert!(rx.recv().await.is_err(), "one value, and no more");
/// })
/// .unwrap();
/// ```
///
/// # Differences from Go
///
/// Go's channel stays open, so that a second receive waits for ever; and its length is always 0, where this one holds its
/// value once the timer has fired, or a receive has looked.
#[doc(alias = "After")]
#[doc(alias = "NewTimer")]
pub fn after(d: Duration) -> Receiver<Instant> {
    let when = clock::now().saturating_add(clock::nanos(d));
    let state = State { sender: None, entry: None };
    let after = Arc::new(After { when, state: Mutex::new(state) });
    let (sender, receiver) = chan::fed(1, Arc::clone(&after));
    after.locked().sender = Some(sender);
    match timing::arm(when, Waker::from(Arc::clone(&after))) {
        Ok(armed) => after.keep(armed),
        Err(ArmError::NoRuntime) => {
            panic!("after: there is no gmprt runtime here: not in a task, and not in a block_on")
        }
        // The task is cancelled at the end of this poll, and waits until then.
        Err(ArmError::Closed) if is_doomed() => {}
        Err(ArmError::Closed) => panic!("after: the runtime here has shut down"),
    }
    receiver
}

/// What feeds the channel, and the waker that stands in the heap.
struct After {
    when: Nanos,
    state: Mutex<State>,
}

struct State {
    sender: Option<Sender<Instant>>,
    entry: Option<(Weak<Timers>, Key)>,
}

impl After {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no user code runs under this lock, so nothing panics there")
    }

    /// Notes the timer's place, unless it has fired since it was armed.
    fn keep(&self, armed: Armed) {
        let mut state = self.locked();
        if state.sender.is_some() {
            state.entry = Some((Arc::downgrade(&armed.home), armed.key));
        }
    }

    /// Takes the sender out, and the timer out of its heap (A1, A2); first, it sends if that is `due`.
    ///
    /// The value is in the channel before the lock is free: who looks at the same time, and finds no sender, finds that.
    fn take(&self, due: bool) {
        let mut wakes = WakeBatch::new();
        let mut state = self.locked();
        if due && let Some(sender) = &state.sender {
            // There is a slot for it; and if the channel was closed meanwhile, nobody wants it.
            let _ = sender.try_send_into(clock::instant_of(self.when), &mut wakes);
        }
        let (sender, entry) = (state.sender.take(), state.entry.take());
        drop(state);
        if let Some((home, key)) = entry
            && let Some(home) = home.upgrade()
        {
            home.cancel(key);
        }
        wakes.wake_all();
        drop(sender); // if it was the last, the channel closes
    }

    fn is_due(&self) -> bool {
        self.when <= clock::now()
    }
}

impl Feed for After {
    #[doc(alias = "maybeRunChan")]
    fn look(&self) {
        if self.is_due() {
            self.take(true);
        }
    }

    fn closed(&self) {
        self.take(false);
    }
}

impl Wake for After {
    /// The timer fires, or its heap is closed.
    #[doc(alias = "sendTime")]
    fn wake(self: Arc<Self>) {
        self.take(self.is_due());
    }
}
