//! Where tasks live: slots of a few size classes, cached per P, moved in batches through a depot.
//!
//! Go counterpart: `p.gFree`, `sched.gFree` with `gfput`, `gfget` (`proc.go`); the two magazines of a
//! cache are Bonwick's ("Magazines and Vmem", 2001).
//!
//! ```text
//!   P0: FreeSlots          P1: FreeSlots          foreign threads: FreeSlots behind a mutex
//!    loaded ≤32  spare ≤32  …                      …
//!        └───── a chain of 32 ─────┐  ┌────────────┘
//!                                  ▼  ▲
//!                    Depot, per class: chains, pages (32 slots, or fewer large ones)
//! ```
//!
//! L1. A slot's header is initialised when its page is carved and stays valid memory, header and all,
//!     until the whole slab is freed: whoever enumerates may read any header's atomics at any time.
//! L2. A [`Slot`] is the one right to an empty slot. A chain links empty slots by `Header::next`.
//! L3. The slab is freed when the scheduler is gone and no slot is in use: [`Slab::close`] adds one reference
//!     to the slab's count for each slot still in use, and each later [`Slab::put_foreign`] gives one back,
//!     after it has let go of the lock. So a waker that a foreign thread keeps for ever keeps its slab, and
//!     nothing else.
//! L4. A cache's cells are touched by their owner only: the M that holds the P, or the mutex's holder.
//!
//! Absent: freeing of single pages (Go does not free its gs either), and a list of live tasks: the
//! pages are the list, and a header's state says whether its slot is in use.

use super::raw::{Header, Queued};
use std::alloc::{self, Layout};
use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// Bytes of a slot in each class, header included. A body that fits none is boxed, in class 0.
pub(crate) const CLASS_BYTES: [usize; 4] = [128, 256, 512, 1024];
/// Number of classes.
pub(crate) const CLASSES: usize = CLASS_BYTES.len();
/// Alignment of a slot: two tasks never share a cache line, and a header begins one.
pub(crate) const SLOT_ALIGN: usize = 64;
/// Slots of a magazine, and of a page and a chain at most; Go moves 32 of its 64 at a time (`gfput`).
const BATCH: u32 = 32;
/// Bytes of a page at most: each P has a page of each class that its tasks need, and large tasks are few.
const PAGE_BYTES: usize = 8 << 10;

/// Slots of a page.
const fn page_slots(class: usize) -> u32 {
    let fit = (PAGE_BYTES / CLASS_BYTES[class]) as u32;
    if fit < BATCH { fit } else { BATCH }
}

/// The smallest class that holds `layout`, or `None` if it must be boxed.
pub(crate) const fn class_of(layout: Layout) -> Option<usize> {
    let mut class = 0;
    while class < CLASSES {
        if layout.size() <= CLASS_BYTES[class] && layout.align() <= SLOT_ALIGN {
            return Some(class);
        }
        class += 1;
    }
    None
}

/// The one right to an empty slot (L2).
#[derive(Debug)]
#[must_use]
pub(crate) struct Slot(pub(super) NonNull<Header>);

/// A linked list of empty slots.
struct Chain {
    head: Cell<Option<NonNull<Header>>>,
    len: Cell<u32>,
}

impl Chain {
    const fn empty() -> Self {
        Self { head: Cell::new(None), len: Cell::new(0) }
    }

    fn take(&self) -> Self {
        Self { head: Cell::new(self.head.take()), len: Cell::new(self.len.take()) }
    }

    fn set(&self, other: Self) {
        self.head.set(other.head.get());
        self.len.set(other.len.get());
    }

    #[inline(always)]
    fn push(&self, slot: Slot) {
        // SAFETY: L1 (the header is valid) and L2 (the slot is empty and ours, so its link is).
        unsafe { Header::set_next(slot.0, self.head.get()) };
        self.head.set(Some(slot.0));
        self.len.set(self.len.get() + 1);
    }

    #[inline(always)]
    fn pop(&self) -> Option<Slot> {
        let slot = self.head.get()?;
        // SAFETY: L1 and L2; the slot is in our chain, so it is empty and its link is ours.
        self.head.set(unsafe { Header::next(slot) });
        self.len.set(self.len.get() - 1);
        Some(Slot(slot))
    }
}

/// One class of a cache: Bonwick's two magazines. Between two trips to the depot lie at least 32 calls, once it is warm: a new
/// page may have fewer slots.
struct Magazines {
    loaded: Chain,
    spare: Chain,
}

/// A cache of empty slots: one in each P, one for all foreign threads.
pub(crate) struct FreeSlots([Magazines; CLASSES]);

// SAFETY: L4; a chain is a list of empty slots that belong to whoever owns the cache, on any thread.
unsafe impl Send for FreeSlots {}

impl FreeSlots {
    pub(crate) const fn new() -> Self {
        Self([const { Magazines { loaded: Chain::empty(), spare: Chain::empty() } }; CLASSES])
    }

    /// An empty slot of `class`; Go: `gfget`.
    #[inline]
    pub(crate) fn get(&self, class: usize, slab: &Slab) -> Slot {
        let magazines = &self.0[class];
        match magazines.loaded.pop() {
            Some(slot) => slot,
            None => self.refill(class, slab),
        }
    }

    #[cold]
    fn refill(&self, class: usize, slab: &Slab) -> Slot {
        let magazines = &self.0[class];
        let mut chain = magazines.spare.take();
        if chain.len.get() == 0 {
            chain = slab.depot_take(class);
        }
        magazines.loaded.set(chain);
        magazines.loaded.pop().expect("the depot gives no empty chain")
    }

    /// Takes an empty slot back; Go: `gfput`.
    #[inline]
    pub(crate) fn put(&self, slot: Slot, slab: &Slab) {
        // SAFETY: L1.
        let class = unsafe { Header::class(slot.0) };
        let magazines = &self.0[class];
        if magazines.loaded.len.get() >= BATCH {
            if magazines.spare.len.get() > 0 {
                slab.depot_put(class, magazines.spare.take());
            }
            magazines.spare.set(magazines.loaded.take());
        }
        magazines.loaded.push(slot);
    }

    /// Gives everything to the depot: the P is going away.
    pub(crate) fn flush(&self, slab: &Slab) {
        for (class, magazines) in self.0.iter().enumerate() {
            for chain in [&magazines.loaded, &magazines.spare] {
                if chain.len.get() > 0 {
                    slab.depot_put(class, chain.take());
                }
            }
        }
    }
}

/// The two ways from a task up to its scheduler.
pub(crate) struct Upcalls {
    /// Puts a task that has just become QUEUED into a queue. The pointer is [`Slab::new`]'s.
    pub(crate) ready: unsafe fn(*const (), Queued),
    /// Gives an empty slot back, to a P's cache or to [`Slab::put_foreign`]; its slab may be gone afterwards.
    pub(crate) release: unsafe fn(*const Slab, Slot),
}

/// One class of the depot.
struct Depot {
    chains: Vec<Chain>,
    pages: Vec<NonNull<Header>>,
}

/// What foreign threads share, and what decides the slab's end.
struct Foreign {
    cache: FreeSlots,
    /// After `close`: each slot in use holds a reference to the slab.
    closed: bool,
}

/// All slots of one runtime.
pub(crate) struct Slab {
    pub(crate) upcalls: Upcalls,
    /// The scheduler; valid while a task of this slab is not COMPLETE.
    pub(crate) sched: *const (),
    depot: [Mutex<Depot>; CLASSES],
    foreign: Mutex<Foreign>,
    /// This slab, for who must keep it alive beyond a lock of its own.
    own: Weak<Slab>,
}

// SAFETY: L2 and L4; pointers to empty slots are guarded by the mutexes, pages are valid everywhere
// (L1), and `sched` is only passed on, to a function that says when it may be.
unsafe impl Send for Slab {}
// SAFETY: as above.
unsafe impl Sync for Slab {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no user code runs under a slab lock, and ours does not panic")
}

impl Slab {
    /// A slab without pages. `sched` is what `upcalls.ready` is called with.
    pub(crate) fn new(upcalls: Upcalls, sched: *const ()) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            own: Weak::clone(own),
            upcalls,
            sched,
            depot: std::array::from_fn(|_| Mutex::new(Depot { chains: Vec::new(), pages: Vec::new() })),
            foreign: Mutex::new(Foreign { cache: FreeSlots::new(), closed: false }),
        })
    }

    /// A chain of empty slots, from the depot or a new page.
    fn depot_take(&self, class: usize) -> Chain {
        let mut depot = lock(&self.depot[class]);
        if let Some(chain) = depot.chains.pop() {
            return chain;
        }
        depot.pages.reserve(1);
        let (page, chain) = self.carve(class);
        depot.pages.push(page);
        chain
    }

    fn depot_put(&self, class: usize, chain: Chain) {
        lock(&self.depot[class]).chains.push(chain);
    }

    fn page_layout(class: usize) -> Layout {
        let bytes = CLASS_BYTES[class] * page_slots(class) as usize;
        Layout::from_size_align(bytes, SLOT_ALIGN).expect("a page is a few KiB")
    }

    /// Allocates a page, initialises its headers and links its slots, lowest first.
    fn carve(&self, class: usize) -> (NonNull<Header>, Chain) {
        let layout = Self::page_layout(class);
        // SAFETY: L1; the layout has a size.
        let page = unsafe { alloc::alloc(layout) };
        let Some(page) = NonNull::new(page.cast::<Header>()) else { alloc::handle_alloc_error(layout) };
        let chain = Chain::empty();
        for index in (0..page_slots(class)).rev() {
            let slot = Self::slot_of(page, class, index);
            // SAFETY: L1; the slot is inside the page, aligned to SLOT_ALIGN and larger than a header.
            unsafe { Header::write_empty(slot, ptr::from_ref(self), class) };
            chain.push(Slot(slot));
        }
        (page, chain)
    }

    fn slot_of(page: NonNull<Header>, class: usize, index: u32) -> NonNull<Header> {
        // SAFETY: L1; `index` is below `page_slots`, so the sum stays inside the page.
        unsafe { page.byte_add(CLASS_BYTES[class] * index as usize) }
    }

    /// An empty slot for a thread that holds no P of this runtime.
    pub(crate) fn get_foreign(&self, class: usize) -> Slot {
        lock(&self.foreign).cache.get(class, self)
    }

    /// Takes an empty slot from a thread that holds no P of this runtime, or after the runtime's end.
    ///
    /// By pointer: the slab may be freed in this call, which no borrow of it would allow.
    ///
    /// # Safety
    ///
    /// The slot is one of the slab at `slab`.
    pub(crate) unsafe fn put_foreign(slab: *const Self, slot: Slot) {
        let own = {
            // SAFETY: L3; the slot, in use until now, keeps the slab.
            let this = unsafe { &*slab };
            let foreign = lock(&this.foreign);
            foreign.cache.put(slot, this);
            foreign.closed.then(|| this.own.upgrade().expect("this slot's reference keeps the slab (L3)"))
        };
        if let Some(own) = own {
            // SAFETY: L3; `close` has left a reference for this slot, which was in use until now.
            unsafe { Arc::decrement_strong_count(Arc::as_ptr(&own)) };
        }
    }

    /// The scheduler is gone, and all Ps' caches are flushed. The slab lives on while a slot is in use (L3).
    pub(crate) fn close(self: Arc<Self>) {
        let mut foreign = lock(&self.foreign);
        foreign.cache.flush(&self);
        let mut in_use = 0;
        for (class, depot) in self.depot.iter().enumerate() {
            let depot = lock(depot);
            in_use += depot.pages.len() * page_slots(class) as usize;
            in_use -= depot.chains.iter().map(|chain| chain.len.get() as usize).sum::<usize>();
        }
        foreign.closed = true;
        for _ in 0..in_use {
            std::mem::forget(Arc::clone(&self)); // `put_foreign` gives it back
        }
    }

    /// Calls `visit` with every slot there is, empty ones too (L1).
    ///
    /// No lock is held meanwhile; slots of pages carved later are not visited.
    pub(crate) fn for_each_slot(&self, mut visit: impl FnMut(NonNull<Header>)) {
        for (class, depot) in self.depot.iter().enumerate() {
            let pages = lock(depot).pages.clone();
            for page in pages {
                for index in 0..page_slots(class) {
                    visit(Self::slot_of(page, class, index));
                }
            }
        }
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        for (class, depot) in self.depot.iter().enumerate() {
            for &page in &lock(depot).pages {
                // SAFETY: L3; no slot is in use, and `carve` allocated the page with this layout.
                unsafe { alloc::dealloc(page.as_ptr().cast(), Self::page_layout(class)) };
            }
        }
    }
}
