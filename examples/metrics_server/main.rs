//! Serves a runtime's metrics to Prometheus: `cargo run --release --example metrics_server`, and then
//! `curl localhost:9464/metrics`, or a scrape job for that address.
//!
//! Watch for: `gmprt_polls_total` and `gmprt_steals_total` grow on all Ps; `gmprt_retakes_total{reason="blocked"}` counts
//! the polls in which a task blocks its thread and tells nobody; `gmprt_tasks` says how many tasks wait, for their turn
//! or for an event.
//!
//! The server runs on std threads beside the runtime, not on it: there is no netpoller yet. So it answers also when the
//! runtime is stuck, which is when one wants to know. It listens on the loopback address only, and trusts who can reach
//! that: each client may cost a thread.

mod collector;

use clap::Parser;
use collector::RuntimeCollector;
use gmprt::{chan, task, time};
use prometheus::{Encoder, Registry, TextEncoder};
use std::error::Error;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use tiny_http::{Header, Method, Request, Response, Server};

/// Serves a runtime's metrics at /metrics, in Prometheus' text format.
#[derive(Parser)]
struct Cli {
    /// The port to listen on, at 127.0.0.1; 0: any that is free.
    #[arg(long, default_value_t = 9464)]
    port: u16,
    /// How long to serve; without it until stdin ends. Ctrl-C ends it in either case.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    limit: Option<Duration>,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("metrics_server: {why}.");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, cli.port));
    let listener = TcpListener::bind(address).map_err(|why| format!("cannot listen on {address}: {why}"))?;
    let address = listener.local_addr()?;
    let server = Arc::new(Server::from_listener(listener, None)?);
    end_by_itself(&server, cli.limit)?;

    let runtime = gmprt::Runtime::new()?;
    let registry = Registry::new();
    registry.register(Box::new(RuntimeCollector::new(runtime.handle())?))?;
    drop(runtime.spawn(workload()));

    writeln!(io::stdout(), "http://{address}/metrics")?; // not `println!`: nobody may be reading
    serve(&server, &registry)
    // Dropping the runtime cancels the tasks, and waits for polls that have begun.
}

/// Ends `serve` once the time is over, or at stdin's end if there is no limit, and at Ctrl-C or SIGTERM.
fn end_by_itself(server: &Arc<Server>, limit: Option<Duration>) -> Result<(), ctrlc::Error> {
    let interrupted = Arc::clone(server);
    ctrlc::set_handler(move || interrupted.unblock())?;
    let over = Arc::clone(server);
    thread::spawn(move || {
        match limit {
            Some(limit) => thread::sleep(limit),
            None => drop(io::copy(&mut io::stdin().lock(), &mut io::sink())), // an error is an end, too
        }
        over.unblock();
    });
    Ok(())
}

// ---- What is served ----

/// How long the end waits for answers that somebody is still reading.
const GRACE: Duration = Duration::from_secs(1);

fn serve(server: &Server, registry: &Registry) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (answering, answered) = mpsc::channel::<()>();
    let ended = loop {
        match server.recv() {
            // A thread for each, as a client that sends or reads nothing must hold up nobody else.
            Ok(request) => {
                let (registry, answering) = (registry.clone(), answering.clone());
                let thread = thread::Builder::new().name("answer".into());
                thread.spawn(move || {
                    let _ = answer(request, &registry); // the client has gone: that is its own affair
                    drop(answering);
                })?;
            }
            Err(why) if why.raw_os_error().is_some() => break Err(why.into()), // it can take no more connections
            Err(_) => break Ok(()),                                            // `unblock` ends it so
        }
    };
    drop(answering);
    let _ = answered.recv_timeout(GRACE); // nothing is sent: it returns when the last answer is out, or the time
    ended
}

fn answer(request: Request, registry: &Registry) -> io::Result<()> {
    let (path, _query) = request.url().split_once('?').unwrap_or((request.url(), ""));
    match (path, request.method()) {
        ("/metrics", Method::Get | Method::Head) => match TextEncoder.encode_to_string(&registry.gather()) {
            // All of it at once and its length before it, so that a page that was cut off is not taken for a whole one.
            Ok(page) => request.respond(
                Response::from_string(page)
                    .with_header(header("Content-Type", TextEncoder.format_type()))
                    .with_chunked_threshold(usize::MAX),
            ),
            Err(why) => request.respond(Response::from_string(format!("{why}\n")).with_status_code(500)),
        },
        ("/metrics", _) => {
            let refusal = Response::from_string("only GET and HEAD\n").with_status_code(405);
            request.respond(refusal.with_header(header("Allow", "GET, HEAD")))
        }
        _ => request.respond(Response::from_string("the metrics are at /metrics\n").with_status_code(404)),
    }
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("it is ASCII")
}

// ---- What is measured ----

/// How many numbers the ticker hands to the workers at a time.
const BATCH: u64 = 200;

const WORKERS: usize = 4;

/// A steady load that is far from a full one.
async fn workload() {
    let (tx, rx) = chan::bounded(16);
    for _ in 0..WORKERS {
        let rx = rx.clone();
        let worker = async move {
            while let Ok(n) = rx.recv().await {
                std::hint::black_box((1..=n).fold(1, u64::wrapping_mul));
            }
        };
        drop(task::Builder::new().name("worker").spawn(worker));
    }
    let blocker = async {
        let now_and_then = time::interval(Duration::from_millis(200));
        loop {
            now_and_then.tick().await;
            thread::sleep(Duration::from_millis(20)); // a call that a library makes, say
        }
    };
    drop(task::Builder::new().name("blocker").spawn(blocker));
    let ticks = time::interval(Duration::from_millis(10));
    loop {
        ticks.tick().await;
        let burst = (0..8).map(|_| gmprt::spawn(gmprt::yield_now())).collect::<Vec<_>>();
        for task in burst {
            drop(task.await);
        }
        gmprt::spawn(time::sleep(Duration::from_secs(60))).abort(); // somebody who did not want to wait
        for n in 0..BATCH {
            if tx.send(n).await.is_err() {
                return; // the workers have gone
            }
        }
    }
}
