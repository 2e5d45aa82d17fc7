//! Which channel calls wait, and for what: with no buffer, with one, with `try_`, with `select!` and `default`, with a
//! timeout.
//!
//! Watch for: the future of each call that may wait is polled once by hand. If that gives its result, it returned "at
//! once"; if not, the line says "waits", and the result has a line of its own, below what it had waited for. The other
//! side always comes late, by `--late` milliseconds, so that it shows who waits for whom.
//!
//! ```text
//!   cargo run --release --example channel_modes
//!   cargo run --release --example channel_modes -- --late 50
//! ```

mod claim;
#[path = "channel_modes/costs.rs"]
mod costs;
#[path = "../common/ending.rs"]
mod ending;
#[path = "../common/figures.rs"]
mod figures;
#[path = "channel_modes/log.rs"]
mod log;
#[path = "../common/table.rs"]
mod table;

use std::process::ExitCode;
use std::time::Duration;

use claim::Claim;
use clap::{Parser, value_parser};
use costs::{LIMIT, costs, start};
use gmprt::chan::{self, Receiver, TryRecvError, TrySendError};
use gmprt::time::{after, sleep, timeout};
use gmprt::{select, spawn};
use log::Log;
use table::Table;

/// Calls that a claim asks about.
const TRY_FULL: &str = "select! { recv(), default }";
const TRY_EMPTY: &str = "select! again, now empty";
const TIMEOUT_AS_GO: &str = "select! { send(1), after() }";

/// What each mode of a channel waits for and what it costs, beside what the article says about it.
#[derive(Parser)]
#[command(
    name = "channel_modes",
    after_help = "Exit code: 0 all values came once and in order, 1 they did not, 2 bad flag or value."
)]
struct Cli {
    /// How late the other side comes, in ms
    #[arg(long, value_name = "MS", default_value_t = 10, value_parser = value_parser!(u64).range(1..=200))]
    late: u64,

    /// Messages in each measurement [default: 20000, 2000 with --quick]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(100..=1_000_000))]
    messages: Option<u64>,

    /// A short run
    #[arg(long)]
    quick: bool,
}

/// A sender that sends 1, 2, 3 as fast as it may; a receiver that comes late.
async fn late_receiver(capacity: usize, late: Duration) -> Result<Log, String> {
    let log = Log::new();
    let (tx, rx) = chan::bounded(capacity);
    let sender = {
        let log = log.clone();
        spawn(async move {
            for n in 1..=3 {
                log.call("sender", &format!("send({n})"), tx.send(n)).await.map_err(|e| e.to_string())?;
            }
            Ok::<(), String>(())
        })
    };
    sleep(late).await;
    log.note("receiver", "len(), capacity()", format!("{}, {}", rx.len(), rx.capacity()));
    let mut got = Vec::new();
    for n in 1..=3 {
        got.extend(log.call("receiver", &format!("recv() #{n}"), rx.recv()).await);
    }
    sender.await.map_err(|e| e.to_string())??;
    if got != [1, 2, 3] {
        return Err(format!("sent 1 2 3 through {capacity} slots, received {got:?}"));
    }
    Ok(log)
}

/// The calls that never wait, on a channel with one slot and on one without.
async fn without_waiting(late: Duration) -> Result<Log, String> {
    let log = Log::new();
    let (tx, rx) = chan::bounded(1);
    let before = rx.try_recv();
    log.note("we", "try_recv()", format!("{before:?}"));
    let sent = [tx.try_send(1), tx.try_send(2)];
    log.note("we", "try_send(1)", format!("{:?}", sent[0]));
    log.note("we", "try_send(2)", format!("{:?}", sent[1]));
    if before != Err(TryRecvError::Empty) || sent != [Ok(()), Err(TrySendError::Full(2))] {
        return Err(format!("one slot: {before:?}, then {sent:?}"));
    }
    let took = log.call("we", TRY_FULL, select_or_default(&rx)).await;
    let empty = log.call("we", TRY_EMPTY, select_or_default(&rx)).await;
    if (took.as_str(), empty.as_str()) != ("received 1", "default") {
        return Err(format!("select! saw {took:?} in a full channel, then {empty:?} in an empty one"));
    }

    let (tx, rx) = chan::bounded(0);
    let nobody = tx.try_send(3);
    log.note("we", "no slots: try_send(3)", format!("{nobody:?}"));
    if nobody != Err(TrySendError::Full(3)) {
        return Err(format!("nobody received, and try_send returned {nobody:?}"));
    }
    let receiver = {
        let log = log.clone();
        spawn(async move { log.call("receiver", "recv()", rx.recv()).await })
    };
    // Until it waits: on a busy machine it may come later than we do.
    let handed = loop {
        sleep(late).await;
        match tx.try_send(4) {
            Err(TrySendError::Full(_)) if log.start.elapsed() < LIMIT => {}
            other => break other,
        }
    };
    log.note("we", "no slots: try_send(4)", format!("{handed:?}"));
    handed.map_err(|e| e.to_string())?;
    match receiver.await.map_err(|e| e.to_string())? {
        Ok(4) => Ok(log),
        other => Err(format!("4 was handed to a receiver that waited, and it has {other:?}")),
    }
}

async fn select_or_default(rx: &Receiver<i32>) -> String {
    select! {
        Ok(value) = rx.recv() => format!("received {value}"),
        default => "default".to_owned(),
    }
}

/// A send that nobody takes, with a limit: as Go writes it, and as a combinator.
async fn with_timeout(late: Duration) -> Result<Log, String> {
    let log = Log::new();
    let (tx, rx) = chan::bounded(0);
    let limit = after(late);
    let send_or_limit = async {
        select! {
            _ = tx.send(1) => "sent",
            _ = limit.recv() => "timed out",
        }
    };
    let as_go = log.call("sender", TIMEOUT_AS_GO, send_or_limit).await;
    let combined = log.call("sender", "timeout(send(2))", timeout(late, tx.send(2))).await;
    let left = rx.try_recv();
    log.note("receiver", "try_recv()", format!("{left:?}"));
    if as_go != "timed out" || combined.is_ok() || left != Err(TryRecvError::Empty) {
        return Err(format!(
            "nobody received, and the sends ended with {as_go:?}, {combined:?}; left was {left:?}"
        ));
    }
    Ok(log)
}

fn report(cli: &Cli) -> Result<String, String> {
    let late = Duration::from_millis(cli.late);
    let rt = start(1)?; // one P: the order is then the scheduler's alone
    let on_task = |e: gmprt::task::JoinError| e.to_string();
    let none = rt.block_on(rt.spawn(late_receiver(0, late))).map_err(on_task)??;
    let two = rt.block_on(rt.spawn(late_receiver(2, late))).map_err(on_task)??;
    let tries = rt.block_on(rt.spawn(without_waiting(late))).map_err(on_task)??;
    let limits = rt.block_on(rt.spawn(with_timeout(late))).map_err(on_task)??;
    drop(rt);

    let mut table = Table::new(
        format!("What happened, in order, on one P; the other side comes {} ms late", cli.late),
        &["channel", "at", "who", "call", "what came of it"],
    );
    none.rows("no slots", &mut table);
    two.rows("2 slots", &mut table);
    tries.rows("1 slot, then none", &mut table);
    limits.rows("no slots, a limit", &mut table);

    // Of a channel without slots this must hold whatever the machine does: no send is over before its receive began.
    let (sent, asked) = (none.find("send(1)", "Ok"), none.find("len(), capacity()", ""));
    if sent < asked {
        return Err("without slots a send returned before anyone received".to_owned());
    }
    let n = cli.messages.unwrap_or(if cli.quick { 2_000 } else { 20_000 });
    let costs = costs(n, if cli.quick { 3 } else { 11 })?;
    let mut text = String::new();
    if let Ok(value) = std::env::var("GMPRT_TEST_REVOKE") {
        text += &format!(
            "GMPRT_TEST_REVOKE={value}: tasks are made to yield at random, which no claim here reckons with.\n\n"
        );
    }
    text += &format!("{table}\n");
    claims(&none, &two, &tries, &limits).iter().for_each(|claim| text += &format!("{claim}\n"));
    text += "To see in it: without slots sender and receiver meet, and the later of the two decides. A timed-out send leaves\n\
             nothing behind in the channel. And a try_send into a channel without slots does work, if a receiver waits.\n\n";
    text += &format!("{costs}\n");
    text += "To see in it: a slot spares the two tasks the meeting, and many slots spare them the switch at each message.\n\
             `default` costs more where it is taken: select! looks a second time before. A timeout sets a timer for each\n\
             message, and takes it back.\n";
    Ok(text)
}

/// What the article says in its section on channels.
fn claims(none: &Log, two: &Log, tries: &Log, limits: &Log) -> Vec<Claim> {
    let at_once = |log: &Log, call: &str| log.came(call).ends_with("at once");
    let waited = |log: &Log, call: &str| log.find(call, "waits").is_some();
    vec![
        Claim {
            article: "with capacity 0 the sender must wait until a receiver is ready; len and cap are always 0",
            measured: format!(
                "send(1) came back {}; meanwhile len(), capacity() gave {}",
                none.came("send(1)"),
                none.came("len(), capacity()")
            ),
            agrees: waited(none, "send(1)")
                && none.find("send(1)", "Ok") > none.find("len(), capacity()", "")
                && none.came("len(), capacity()") == "0, 0",
        },
        Claim {
            article: "with a buffer a send returns at once while there is room, else it waits",
            measured: format!(
                "2 slots: send(1) {}, send(2) {}, send(3) {}",
                two.came("send(1)"),
                two.came("send(2)"),
                two.came("send(3)")
            ),
            agrees: at_once(two, "send(1)") && at_once(two, "send(2)") && waited(two, "send(3)"),
        },
        Claim {
            article: "select with default is a try that does not block: it skips where the channel is empty",
            measured: format!(
                "{} from a full channel, {} from an empty one",
                tries.came(TRY_FULL),
                tries.came(TRY_EMPTY)
            ),
            agrees: at_once(tries, TRY_FULL) && at_once(tries, TRY_EMPTY),
        },
        Claim {
            article: "with no receiver a send waits for ever; a timeout is written with select and time.After",
            measured: format!(
                "select! gave {}, timeout() {}",
                limits.came(TIMEOUT_AS_GO),
                limits.came("timeout(send(2))")
            ),
            agrees: waited(limits, TIMEOUT_AS_GO),
        },
    ]
}

fn main() -> ExitCode {
    ending::end("channel_modes", report(&Cli::parse()))
}
