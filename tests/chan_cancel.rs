//! Channels that are cancelled at every point at which a program can do it, held against a model that is written to be
//! read; then the same in storms, on our executor and on tokio's.
//!
//! The model is [`Model`]: a buffer, two lines, and what each wait came to. [`Game`] performs one act on the channel and on
//! the model, and compares the answer, the wakes in their order, `len`, `is_full`, `is_closed`, and in the end the
//! fate of every value.
//!
//! Length: the model, the acts, and three ways to choose them; apart the comparison could not be followed.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Rng, runtime, sized, watch};
use futures_core::Stream;
use gmprt::chan::{Permit, Receiver, RecvError, SendError, Sender, TryRecvError, TrySendError, bounded};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::poll_fn;
use std::mem;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll::{Pending, Ready};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

/// A value's number.
type Number = usize;
/// Whose turn it is: a future, or a stream.
type Id = usize;

// ---- the model ----

/// What a wait came to, while its owner has not looked.
#[derive(Clone, Debug, PartialEq)]
enum Came {
    /// A value, with the number of its hand-off.
    Value(u64, Number),
    Sent,
    Granted,
    /// The channel is closed; a send has its value still.
    Closed(Option<Number>),
}

/// The channel as DESIGN and the docs describe it.
#[derive(Debug, Default)]
struct Model {
    capacity: usize,
    closed: bool,
    /// Halves; a permit is a sender.
    senders: usize,
    receivers: usize,
    permits: usize,
    buffer: VecDeque<Number>,
    /// What came back from receives that were dropped, by the number of its hand-off.
    returned: BTreeMap<u64, Number>,
    hand_offs: u64,
    /// Who waits for a value, oldest first.
    receiving: VecDeque<Id>,
    /// Who waits for room, oldest first: with a value to send, or to reserve.
    entering: VecDeque<(Id, Option<Number>)>,
    came: HashMap<Id, Came>,
    woken: Vec<Id>,
    /// Values that nobody can receive any more.
    dropped: Vec<Number>,
}

impl Model {
    fn len(&self) -> usize {
        self.buffer.len() + self.returned.len()
    }

    fn is_full(&self) -> bool {
        self.len() + self.permits >= self.capacity
    }

    /// A receiver in line for a value that is pushed: on a rendezvous channel, one whom no permit claims.
    fn has_receiver(&self) -> bool {
        self.receiving.len() > if self.capacity == 0 { self.permits } else { 0 }
    }

    fn has_room(&self) -> bool {
        if self.capacity == 0 { self.has_receiver() } else { !self.is_full() }
    }

    fn settle(&mut self, id: Id, came: Came) {
        assert!(self.came.insert(id, came).is_none());
        self.woken.push(id);
    }

    fn hand(&mut self, number: Number) {
        self.hand_offs += 1;
        let id = self.receiving.pop_front().unwrap();
        self.settle(id, Came::Value(self.hand_offs, number));
    }

    /// Room may have come free: it goes to who is longest in line.
    fn admit(&mut self) {
        while !self.closed && self.has_room() {
            match self.entering.pop_front() {
                None => break,
                Some((id, None)) => {
                    self.permits += 1;
                    self.settle(id, Came::Granted);
                }
                Some((id, Some(number))) => {
                    self.settle(id, Came::Sent);
                    if self.capacity == 0 { self.hand(number) } else { self.buffer.push_back(number) }
                }
            }
        }
    }

    fn push(&mut self, number: Number) -> bool {
        if self.has_receiver() {
            self.hand(number);
        } else if !self.is_full() {
            self.buffer.push_back(number);
        } else {
            return false;
        }
        true
    }

    /// The next value: one that came back, one of the buffer, one out of a waiting sender's hands.
    fn take(&mut self) -> Option<Number> {
        let stored = self.returned.pop_first().map(|(_, number)| number).or_else(|| self.buffer.pop_front());
        if stored.is_some() {
            self.admit();
            return stored;
        }
        if self.closed {
            return None;
        }
        let place = self.entering.iter().position(|(_, number)| number.is_some())?;
        let (id, number) = self.entering.remove(place).unwrap();
        self.settle(id, Came::Sent);
        number
    }

    /// On a rendezvous channel a receive first stands in line, if a permit lacks its receiver, or who reserves is
    /// longer in line than all who send.
    fn take_in_turn(&mut self) -> Option<Number> {
        if self.capacity == 0 && self.returned.is_empty() && !self.closed {
            let lacks = self.receiving.len() < self.permits;
            if lacks || matches!(self.entering.front(), None | Some((_, None))) {
                return None;
            }
        }
        self.take()
    }

    fn give_back(&mut self, hand_off: u64, number: Number) {
        match self.receiving.pop_front() {
            Some(id) => self.settle(id, Came::Value(hand_off, number)),
            None => assert!(self.returned.insert(hand_off, number).is_none()),
        }
    }

    fn try_recv(&mut self) -> Result<Number, TryRecvError> {
        let refused = if self.closed { TryRecvError::Closed } else { TryRecvError::Empty };
        self.take().ok_or(refused)
    }

    fn poll_recv(&mut self, id: Id) -> Poll<Result<Number, RecvError>> {
        match self.came.remove(&id) {
            Some(Came::Value(_, number)) => Ready(Ok(number)),
            Some(Came::Closed(None)) => Ready(self.take().ok_or(RecvError)),
            Some(other) => panic!("a receive came to {other:?}"),
            None if self.receiving.contains(&id) => Pending,
            None => {
                if let Some(number) = self.take_in_turn() {
                    return Ready(Ok(number));
                }
                if self.closed {
                    return Ready(Err(RecvError));
                }
                self.receiving.push_back(id);
                self.admit();
                Pending
            }
        }
    }

    fn poll_send(&mut self, id: Id, number: Number) -> Poll<Result<(), Number>> {
        match self.came.remove(&id) {
            Some(Came::Sent) => Ready(Ok(())),
            Some(Came::Closed(Some(number))) => Ready(Err(number)),
            Some(other) => panic!("a send came to {other:?}"),
            None if self.entering.iter().any(|(other, _)| *other == id) => Pending,
            None if self.closed => Ready(Err(number)),
            None if self.push(number) => Ready(Ok(())),
            None => {
                self.entering.push_back((id, Some(number)));
                Pending
            }
        }
    }

    fn poll_reserve(&mut self, id: Id) -> Poll<bool> {
        match self.came.remove(&id) {
            Some(Came::Granted) => Ready(true),
            Some(Came::Closed(None)) => Ready(false),
            Some(other) => panic!("a reserve came to {other:?}"),
            None if self.entering.iter().any(|(other, _)| *other == id) => Pending,
            None if self.closed => Ready(false),
            None if self.has_room() => {
                self.permits += 1;
                Ready(true)
            }
            None => {
                self.entering.push_back((id, None));
                Pending
            }
        }
    }

    /// A wait is given up: what it came to is passed on. `holds` is the value of a send that was never polled.
    fn cancel(&mut self, id: Id, holds: Option<Number>) {
        match self.came.remove(&id) {
            Some(Came::Value(hand_off, number)) => self.give_back(hand_off, number),
            Some(Came::Granted) => self.drop_permit(),
            Some(Came::Closed(number)) => self.dropped.extend(number),
            Some(Came::Sent) => {}
            None => {
                self.receiving.retain(|other| *other != id);
                self.entering.retain(|(other, _)| *other != id);
                self.dropped.extend(holds);
            }
        }
    }

    fn permit_send(&mut self, number: Number) -> bool {
        self.permits -= 1;
        if self.closed {
            return false;
        }
        if !self.receiving.is_empty() {
            self.hand(number);
            if self.capacity > 0 {
                self.admit();
            }
        } else if self.capacity > 0 {
            self.buffer.push_back(number);
        } else {
            self.hand_offs += 1;
            self.returned.insert(self.hand_offs, number);
        }
        true
    }

    fn drop_permit(&mut self) {
        self.permits -= 1;
        self.admit();
    }

    fn close(&mut self) -> bool {
        if mem::replace(&mut self.closed, true) {
            return false;
        }
        while let Some((id, number)) = self.entering.pop_back() {
            self.settle(id, Came::Closed(number));
        }
        while let Some(id) = self.receiving.pop_back() {
            self.settle(id, Came::Closed(None));
        }
        true
    }

    fn drop_sender(&mut self) {
        self.senders -= 1;
        if self.senders == 0 {
            self.close();
        }
    }

    fn drop_receiver(&mut self) {
        self.receivers -= 1;
        if self.receivers == 0 {
            self.close();
            self.dropped.extend(mem::take(&mut self.returned).into_values());
            self.dropped.extend(self.buffer.drain(..));
        }
    }
}

// ---- the channel beside the model ----

/// A value, which notes that it was dropped unless somebody took its number out.
struct Item {
    number: Number,
    dropped: Rc<RefCell<Vec<Number>>>,
}

impl Item {
    fn open(mut self) -> Number {
        self.dropped = Rc::default();
        self.number
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.dropped.borrow_mut().push(self.number);
    }
}

struct Name(Id, Arc<Mutex<Vec<Id>>>);

impl Wake for Name {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

type Boxed<O> = Pin<Box<dyn Future<Output = O>>>;

/// One future of a program. Each owns a half, so that it may be the last to do so.
enum Player {
    Send(Boxed<Result<(), SendError<Item>>>, Number),
    Recv(Boxed<Result<Item, RecvError>>),
    Reserve(Boxed<Result<Permit<Item>, SendError<()>>>),
    Stream(Receiver<Item>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    MakeSend,
    MakeRecv,
    MakeReserve,
    MakeStream,
    /// Polls the n-th player; those that are named count round and round.
    Poll(usize),
    /// Polls the latest player.
    PollLast,
    /// Receives with `try_recv`, if the n-th player is a stream.
    StreamTry(usize),
    Drop(usize),
    PermitSend(usize),
    PermitDrop(usize),
    TrySend,
    TryRecv,
    TryReserve,
    Close,
    DropSender,
    DropReceiver,
}

struct Game {
    model: Model,
    tx: Option<Sender<Item>>,
    rx: Option<Receiver<Item>>,
    players: Vec<(Id, Player)>,
    permits: Vec<Permit<Item>>,
    names: usize,
    made: usize,
    wakes: Arc<Mutex<Vec<Id>>>,
    dropped: Rc<RefCell<Vec<Number>>>,
    /// Received, or handed back.
    out: Vec<Number>,
}

impl Game {
    fn new(capacity: usize) -> Self {
        let (tx, rx) = bounded(capacity);
        Self {
            model: Model { capacity, senders: 1, receivers: 1, ..Model::default() },
            tx: Some(tx),
            rx: Some(rx),
            players: Vec::new(),
            permits: Vec::new(),
            names: 0,
            made: 0,
            wakes: Arc::default(),
            dropped: Rc::default(),
            out: Vec::new(),
        }
    }

    /// Plays all acts, drops what is left, and checks that each value has come to one end.
    fn play(capacity: usize, acts: &[Act]) {
        let mut game = Self::new(capacity);
        acts.iter().for_each(|act| game.act(*act));
        game.act(Act::DropSender);
        while !game.permits.is_empty() {
            game.act(Act::PermitDrop(0));
        }
        // Those who wait drop out from the middle, each time.
        while !game.players.is_empty() {
            game.act(Act::Drop(game.players.len() / 2));
        }
        if game.rx.is_some() {
            while game.model.len() > 0 {
                game.act(Act::TryRecv);
            }
        }
        game.act(Act::DropReceiver);
        let mut all = mem::take(&mut game.out);
        all.sort_unstable();
        assert_eq!(all, (0..game.made).collect::<Vec<_>>(), "each value came to one end");
    }

    fn name(&mut self) -> Id {
        self.names += 1;
        self.names
    }

    fn item(&mut self) -> Item {
        self.made += 1;
        Item { number: self.made - 1, dropped: Rc::clone(&self.dropped) }
    }

    fn join(&mut self, player: Player) {
        match player {
            Player::Send(..) | Player::Reserve(_) => self.model.senders += 1,
            Player::Recv(_) | Player::Stream(_) => self.model.receivers += 1,
        }
        let id = self.name();
        self.players.push((id, player));
    }

    fn act(&mut self, act: Act) {
        let pick = |n: usize, of: usize| (of > 0).then(|| n % of);
        match act {
            Act::MakeSend => {
                if let Some(tx) = self.tx.clone() {
                    let item = self.item();
                    let number = item.number;
                    self.join(Player::Send(Box::pin(async move { tx.send(item).await }), number));
                }
            }
            Act::MakeRecv => {
                if let Some(rx) = self.rx.clone() {
                    self.join(Player::Recv(Box::pin(async move { rx.recv().await })));
                }
            }
            Act::MakeReserve => {
                if let Some(tx) = self.tx.clone() {
                    self.join(Player::Reserve(Box::pin(async move { tx.reserve().await })));
                }
            }
            Act::MakeStream => {
                if let Some(rx) = self.rx.clone() {
                    self.join(Player::Stream(rx));
                }
            }
            Act::Poll(n) => {
                if let Some(n) = pick(n, self.players.len()) {
                    self.poll(n);
                }
            }
            Act::PollLast => {
                if let Some(last) = self.players.len().checked_sub(1) {
                    self.poll(last);
                }
            }
            Act::StreamTry(n) => {
                if let Some(n) = pick(n, self.players.len())
                    && let (id, Player::Stream(rx)) = &self.players[n]
                {
                    // A wait of the stream ends first.
                    self.model.cancel(*id, None);
                    let expected = self.model.try_recv();
                    let got = rx.try_recv().map(Item::open);
                    self.out.extend(got);
                    assert_eq!(got, expected);
                }
            }
            Act::Drop(n) => {
                if let Some(n) = pick(n, self.players.len()) {
                    let (id, player) = self.players.remove(n);
                    let holds = if let Player::Send(_, number) = &player { Some(*number) } else { None };
                    self.model.cancel(id, holds);
                    match player {
                        Player::Send(..) | Player::Reserve(_) => self.model.drop_sender(),
                        Player::Recv(_) | Player::Stream(_) => self.model.drop_receiver(),
                    }
                    drop(player);
                }
            }
            Act::PermitSend(n) => {
                if let Some(n) = pick(n, self.permits.len()) {
                    let (permit, item) = (self.permits.remove(n), self.item());
                    let number = item.number;
                    let expected = if self.model.permit_send(number) { Ok(()) } else { Err(number) };
                    self.model.drop_sender();
                    let got = permit.send(item).map_err(|error| error.0.open());
                    self.out.extend(got.err());
                    assert_eq!(got, expected);
                }
            }
            Act::PermitDrop(n) => {
                if let Some(n) = pick(n, self.permits.len()) {
                    self.model.drop_permit();
                    self.model.drop_sender();
                    drop(self.permits.remove(n));
                }
            }
            Act::TrySend => {
                if let Some(tx) = self.tx.clone() {
                    let item = self.item();
                    let number = item.number;
                    let expected = match () {
                        () if self.model.closed => Err(TrySendError::Closed(number)),
                        () if self.model.push(number) => Ok(()),
                        () => Err(TrySendError::Full(number)),
                    };
                    let got = tx.try_send(item).map_err(|error| match error {
                        TrySendError::Full(item) => TrySendError::Full(item.open()),
                        TrySendError::Closed(item) => TrySendError::Closed(item.open()),
                    });
                    self.out.extend(got.err().map(TrySendError::into_inner));
                    assert_eq!(got, expected);
                }
            }
            Act::TryRecv => {
                if let Some(rx) = &self.rx {
                    let expected = self.model.try_recv();
                    let got = rx.try_recv().map(Item::open);
                    self.out.extend(got);
                    assert_eq!(got, expected);
                }
            }
            Act::TryReserve => {
                if let Some(tx) = &self.tx {
                    let expected = match () {
                        () if self.model.closed => Err(TrySendError::Closed(())),
                        () if self.model.has_room() => Ok(()),
                        () => Err(TrySendError::Full(())),
                    };
                    let got = tx.try_reserve();
                    if expected.is_ok() {
                        self.model.permits += 1;
                        self.model.senders += 1;
                    }
                    assert_eq!(got.as_ref().map(drop).map_err(|error| *error), expected);
                    self.permits.extend(got);
                }
            }
            Act::Close => match (&self.tx, &self.rx) {
                (Some(tx), _) => assert_eq!(tx.close(), self.model.close()),
                (None, Some(rx)) => assert_eq!(rx.close(), self.model.close()),
                (None, None) => {}
            },
            Act::DropSender => {
                if let Some(tx) = self.tx.take() {
                    self.model.drop_sender();
                    drop(tx);
                }
            }
            Act::DropReceiver => {
                if let Some(rx) = self.rx.take() {
                    self.model.drop_receiver();
                    drop(rx);
                }
            }
        }
        self.compare();
    }

    /// Polls a player, each time with another waker. One that is done leaves the game, with its half.
    fn poll(&mut self, n: usize) {
        let id = self.players[n].0;
        let waker = Waker::from(Arc::new(Name(id, Arc::clone(&self.wakes))));
        let mut cx = Context::from_waker(&waker);
        match &mut self.players[n].1 {
            Player::Send(future, number) => {
                let expected = self.model.poll_send(id, *number);
                let got = future.as_mut().poll(&mut cx).map_err(|error| error.0.open());
                assert_eq!(got, expected);
                if let Ready(result) = got {
                    self.out.extend(result.err());
                    self.model.drop_sender();
                    self.players.remove(n);
                }
            }
            Player::Recv(future) => {
                let expected = self.model.poll_recv(id);
                let got = future.as_mut().poll(&mut cx).map_ok(Item::open);
                assert_eq!(got, expected);
                if let Ready(result) = got {
                    self.out.extend(result);
                    self.model.drop_receiver();
                    self.players.remove(n);
                }
            }
            Player::Reserve(future) => {
                let expected = self.model.poll_reserve(id);
                let got = future.as_mut().poll(&mut cx);
                let granted = got.map(|result| result.map(|permit| self.permits.push(permit)).is_ok());
                assert_eq!(granted, expected);
                if let Ready(granted) = granted {
                    self.model.senders += usize::from(granted);
                    self.model.drop_sender();
                    self.players.remove(n);
                }
            }
            Player::Stream(rx) => {
                let expected = self.model.poll_recv(id).map(Result::ok);
                let got = Pin::new(rx).poll_next(&mut cx).map(|item| item.map(Item::open));
                self.out.extend(if let Ready(number) = got { number } else { None });
                assert_eq!(got, expected);
            }
        }
    }

    fn compare(&mut self) {
        assert_eq!(mem::take(&mut *self.wakes.lock().unwrap()), mem::take(&mut self.model.woken), "wakes");
        let dropped = mem::take(&mut *self.dropped.borrow_mut());
        assert_eq!(dropped, mem::take(&mut self.model.dropped), "drops");
        self.out.extend(dropped);
        let model = (self.model.len(), self.model.len() == 0, self.model.is_full(), self.model.closed);
        if let Some(tx) = &self.tx {
            assert_eq!((tx.len(), tx.is_empty(), tx.is_full(), tx.is_closed()), model);
        }
        if let Some(rx) = &self.rx {
            assert_eq!((rx.len(), rx.is_empty(), rx.is_full(), rx.is_closed()), model);
        }
    }
}

// ---- acts chosen: all short games, and random long ones ----

/// Every game of a few moves, at every capacity: each wait is dropped before its first poll, after it, and after its wake,
/// in front of others and behind them, beside a close and the loss of the last half.
#[test]
fn every_short_game_goes_as_the_model_says() {
    let _watch = watch();
    const MOVES: &[&[Act]] = &[
        &[Act::MakeSend, Act::PollLast],
        &[Act::MakeRecv, Act::PollLast],
        &[Act::MakeReserve, Act::PollLast],
        &[Act::MakeStream, Act::PollLast],
        &[Act::MakeSend],
        &[Act::Poll(0)],
        &[Act::Poll(1)],
        &[Act::Drop(0)],
        &[Act::Drop(1)],
        &[Act::PermitSend(0)],
        &[Act::PermitDrop(0)],
        &[Act::TrySend],
        &[Act::TryRecv],
        &[Act::Close],
        &[Act::DropSender],
        &[Act::DropReceiver],
    ];
    let length = sized(4, 5) as u32;
    let mut acts = Vec::new();
    for capacity in [0, 1, 2, 100] {
        for game in 0..MOVES.len().pow(if capacity < 2 { length } else { length - 1 }) {
            let mut rest = game;
            acts.clear();
            while rest > 0 {
                acts.extend_from_slice(MOVES[rest % MOVES.len()]);
                rest /= MOVES.len();
            }
            Reports(capacity, &acts).play();
        }
    }
}

/// Names the game in which an assertion failed.
struct Reports<'a>(usize, &'a [Act]);

impl Reports<'_> {
    fn play(self) {
        Game::play(self.0, self.1);
        mem::forget(self);
    }
}

impl Drop for Reports<'_> {
    fn drop(&mut self) {
        eprintln!("capacity {}, acts {:?}", self.0, self.1);
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::MakeSend),
        4 => Just(Act::MakeRecv),
        3 => Just(Act::MakeReserve),
        2 => Just(Act::MakeStream),
        8 => Just(Act::PollLast),
        10 => (0..64usize).prop_map(Act::Poll),
        8 => (0..64usize).prop_map(Act::Drop),
        3 => (0..64usize).prop_map(Act::PermitSend),
        3 => (0..64usize).prop_map(Act::PermitDrop),
        2 => (0..64usize).prop_map(Act::StreamTry),
        3 => Just(Act::TrySend),
        3 => Just(Act::TryRecv),
        2 => Just(Act::TryReserve),
    ]
}

/// The end of a game: nothing, or a close by hand, or the loss of a half; and what follows it.
fn end() -> impl Strategy<Value = Vec<Act>> {
    let last = prop_oneof![Just(Act::Close), Just(Act::DropSender), Just(Act::DropReceiver)];
    (proptest::option::of(last), proptest::collection::vec(act(), 0..12))
        .prop_map(|(last, rest)| last.into_iter().chain(rest).collect())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: sized(400, 20_000) as u32,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn long_games_go_as_the_model_says(
        capacity in prop_oneof![3 => Just(0usize), 3 => Just(1), 2 => Just(2), 1 => Just(100)],
        acts in proptest::collection::vec(act(), 1..60),
        end in end(),
    ) {
        Game::play(capacity, &[acts, end].concat());
    }
}

// ---- storms ----

/// On a busy machine, those who only ask would use up their threads' time. But a yield may cost a slice of each thread
/// that waits for the core, and a storm asks some 3500 times: with a yield each time, and 8 such threads, it took a minute.
fn give_way_now_and_then() {
    thread_local! {
        static ASKED: Cell<u32> = const { Cell::new(0) };
    }
    ASKED.set(ASKED.get() + 1);
    if ASKED.get().is_multiple_of(32) {
        thread::yield_now();
    }
}

/// Polls `future`, and drops it after it was pending so many times; in between the others run. Knows no executor.
async fn patiently<F: Future>(future: F, mut patience: u64) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Ready(output) = future.as_mut().poll(cx) {
            return Ready(Some(output));
        }
        if patience == 0 {
            return Ready(None);
        }
        patience -= 1;
        cx.waker().wake_by_ref();
        give_way_now_and_then();
        Pending
    })
    .await
}

/// What became of the values of a storm.
struct Ledger {
    sent: Vec<AtomicU8>,
    received: Vec<AtomicU8>,
    dropped: Vec<AtomicU8>,
}

/// A value that notes its end.
struct Numbered(usize, Option<Arc<Ledger>>);

impl Numbered {
    fn receive(mut self) -> usize {
        self.1.take().unwrap().received[self.0].fetch_add(1, SeqCst);
        self.0
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        if let Some(ledger) = &self.1 {
            ledger.dropped[self.0].fetch_add(1, SeqCst);
        }
    }
}

/// How a storm's operations are dropped on the way: after so many polls, or by a timer of gmprt.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Patience,
    Timeout,
}

async fn dropped_at_random<F: Future>(by: By, rng: &mut Rng, future: F) -> Option<F::Output> {
    match (by, rng.below(3)) {
        (By::Timeout, 0) => gmprt::time::timeout(Duration::from_micros(rng.below(200)), future).await.ok(),
        _ => patiently(future, rng.below(4)).await,
    }
}

/// Sends its numbers, and records for each whether the channel took it for certain.
async fn produce(tx: Sender<Numbered>, ledger: Arc<Ledger>, first: usize, each: usize, by: By, mut rng: Rng) {
    for number in first..first + each {
        if rng.below(2) == 0 {
            // Who must keep the value reserves, however often that is given up.
            let permit = loop {
                if let Some(permit) = dropped_at_random(by, &mut rng, tx.reserve()).await {
                    break permit.unwrap();
                }
            };
            let kept = Numbered(number, Some(Arc::clone(&ledger)));
            assert!(permit.send(kept).is_ok(), "receivers are there");
            ledger.sent[number].fetch_add(1, SeqCst);
        } else {
            let lost = Numbered(number, Some(Arc::clone(&ledger)));
            if let Some(sent) = dropped_at_random(by, &mut rng, tx.send(lost)).await {
                assert!(sent.is_ok(), "receivers are there");
                ledger.sent[number].fetch_add(1, SeqCst);
            }
        }
    }
}

/// Receives until the end. `steady` says that nobody else could have got a value in between: then those of one producer
/// come in their order, however often a receive is given up.
async fn consume(rx: Receiver<Numbered>, each: usize, producers: usize, steady: bool, by: By, mut rng: Rng) {
    let mut rx = rx;
    let mut last = vec![None; producers];
    loop {
        let came = if rng.below(3) == 0 {
            dropped_at_random(by, &mut rng, poll_fn(|cx| Pin::new(&mut rx).poll_next(cx))).await
        } else {
            dropped_at_random(by, &mut rng, rx.recv()).await.map(Result::ok)
        };
        let number = match came {
            None => continue,
            Some(None) => break,
            Some(Some(value)) => value.receive(),
        };
        let of = number / each;
        assert!(!steady || last[of] < Some(number), "the values of one producer come in their order");
        last[of] = Some(number);
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

fn storm(run: &dyn Fn(Vec<Task>), capacity: usize, consumers: usize, by: By, rng: &mut Rng) {
    const PRODUCERS: usize = 4;
    let each = sized(100, 1500);
    let column = || (0..PRODUCERS * each).map(|_| AtomicU8::new(0)).collect();
    let ledger = Arc::new(Ledger { sent: column(), received: column(), dropped: column() });
    let (tx, rx) = bounded(capacity);
    let mut tasks: Vec<Task> = Vec::new();
    for n in 0..PRODUCERS {
        tasks.push(Box::pin(produce(tx.clone(), Arc::clone(&ledger), n * each, each, by, rng.fork())));
    }
    for _ in 0..consumers {
        tasks.push(Box::pin(consume(rx.clone(), each, PRODUCERS, consumers == 1, by, rng.fork())));
    }
    drop(tx);
    run(tasks);
    let left: Vec<_> = std::iter::from_fn(|| rx.try_recv().ok()).map(Numbered::receive).collect();
    assert!(
        left.is_empty(),
        "{left:?}: who gives a receive up looks again, and so the last one gets what came back"
    );
    for number in 0..PRODUCERS * each {
        let fate = |column: &[AtomicU8]| column[number].load(SeqCst);
        let fates = (fate(&ledger.sent), fate(&ledger.received), fate(&ledger.dropped));
        // Sent and received; or given up by its producer, and then received or dropped, but one of them.
        assert!(matches!(fates, (1 | 0, 1, 0) | (0, 0, 1)), "{number}: sent, received, dropped: {fates:?}");
    }
}

fn storms(run: &dyn Fn(Vec<Task>), by: By) {
    let mut rng = Rng::new();
    for capacity in [0, 1, 2, 100] {
        for consumers in [1, 3] {
            storm(run, capacity, consumers, by, &mut rng);
        }
    }
}

fn on_gmprt(procs: usize, by: By) {
    let _watch = watch();
    let rt = runtime(procs);
    let run = |tasks: Vec<Task>| {
        let handles: Vec<_> = tasks.into_iter().map(|task| rt.spawn(task)).collect();
        rt.block_on(async {
            for handle in handles {
                handle.await.unwrap();
            }
        });
    };
    storms(&run, by);
}

#[test]
fn a_storm_on_one_p_loses_nothing() {
    on_gmprt(1, By::Patience);
}

#[test]
fn a_storm_on_four_ps_loses_nothing() {
    on_gmprt(4, By::Patience);
}

#[test]
fn a_storm_on_eight_ps_loses_nothing() {
    on_gmprt(8, By::Patience);
}

#[test]
fn a_storm_of_timeouts_loses_nothing() {
    on_gmprt(1, By::Timeout);
    on_gmprt(4, By::Timeout);
}

#[test]
fn a_storm_on_tokio_loses_nothing() {
    let _watch = watch();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let run = |tasks: Vec<Task>| {
        let handles: Vec<_> = tasks.into_iter().map(|task| rt.spawn(task)).collect();
        rt.block_on(async {
            for handle in handles {
                handle.await.unwrap();
            }
        });
    };
    storms(&run, By::Patience);
}
