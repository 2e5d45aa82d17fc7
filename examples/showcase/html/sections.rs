//! The scenarios: what each is, its plots, and what to look for in them.

use std::collections::BTreeMap;
use std::io;

use maud::{Markup, PreEscaped, html};

use super::plots;
use super::tables::{case, table};
use crate::figures::counted;
use crate::results::{Cell, Results};
use crate::spec::Job;

/// What a scenario is, and how its latencies are to be read.
struct Scenario {
    title: &'static str,
    about: &'static str,
    look_at_latency: &'static str,
    look_at_memory: &'static str,
}

const TOKEN: Scenario = Scenario {
    title: "Token bucket",
    about: "A ticker puts 100 tokens a second into a bucket. Clients ask for one, and are accepted or refused at once. \
            In the open loop, requests come by a schedule, whether or not earlier ones are answered. In the closed \
            loop each client asks again once it is answered, with a yield between.",
    look_at_latency: "how far to the right a line stays low. The median is easy; a bend upward is a client that \
                      waited to be run while others were.",
    look_at_memory: "the height that a line keeps: what the runtime's threads and a task for each client cost. A line \
                     that went on rising would be a leak.",
};

const FAN: Scenario = Scenario {
    title: "Fan-out/fan-in",
    about: "Producers number items, W workers square them, a collector adds the squares up; a channel of 100 lies on \
            either side of the workers. The work of an item is one multiplication, so the figures are what channels \
            and scheduler cost.",
    look_at_latency: "the distance from 50 % to 99 %. An item waits in two channels while others pass; a steep line \
                      means that some worker sat on an item while the others went on.",
    look_at_memory: "whether a line is flat. Channels of 100 push back on the producers, so memory must not follow \
                     the number of items.",
};

const LOG: Scenario = Scenario {
    title: "Batched log",
    about: "Producers send lines into a channel of 1,000; one writer takes them, and flushes what it has to a file \
            every 100 ms.",
    look_at_latency: "how long a producer is held up. With more producers than places in the channel it is mostly \
                      full, and a send takes as long as the turns of those who came before.",
    look_at_memory: "whether a line is flat once all producers run: what waits is in the channel, not on the heap.",
};

/// A plot with what is said under it.
struct Figure {
    title: String,
    /// None where nothing was measured.
    svg: Option<String>,
    finding: Option<String>,
    look: &'static str,
    measured: &'static str,
}

/// All three, in the order of the article.
pub(crate) fn sections(results: &Results) -> io::Result<Markup> {
    let of = |wanted: fn(&Job) -> bool| {
        let ran = results.cells.iter().filter(|cell| !cell.rows.is_empty());
        ran.filter(|cell| wanted(&cell.job)).collect::<Vec<&Cell>>()
    };
    let token = of(|job| matches!(job, Job::Token { .. }));
    let fan = of(|job| matches!(job, Job::Fan { .. }));
    let log = of(|job| matches!(job, Job::Log { .. }));

    let mut fan_figures = Vec::new();
    let mut widest = Vec::new();
    for (producers, cells) in by_producers(&fan) {
        fan_figures.push(throughput(producers, &cells)?);
        widest.extend(cells.last().map(|&(_, cell)| cell));
    }
    fan_figures.extend(of_cases(&FAN, &widest)?);
    Ok(html! {
        (section(&TOKEN, &token, of_cases(&TOKEN, &token)?))
        (section(&FAN, &fan, fan_figures))
        (section(&LOG, &log, of_cases(&LOG, &log)?))
    })
}

fn section(scenario: &Scenario, cells: &[&Cell], figures: Vec<Figure>) -> Markup {
    html! {
        section {
            h2 { (scenario.title) }
            p { (scenario.about) }
            @if cells.is_empty() {
                p.none { "Not run." }
            } @else {
                div.figures { @for figure in figures { (drawn(figure)) } }
                (table(cells))
            }
        }
    }
}

fn drawn(figure: Figure) -> Markup {
    html! {
        figure {
            h3 { (figure.title) }
            @match figure.svg {
                // Made by the drawing library, which escapes what it writes.
                Some(svg) => div role="img" aria-label=(figure.title) { (PreEscaped(svg)) },
                None => p.none { "Nothing was measured." },
            }
            figcaption {
                @if let Some(finding) = figure.finding { p { strong { (finding) } } }
                p { b { "Look for " } (figure.look) }
                p { b { "Measured: " } (figure.measured) }
            }
        }
    }
}

/// Fan-out's cells by number of producers, and in each by number of workers.
fn by_producers<'r>(cells: &[&'r Cell]) -> BTreeMap<u32, Vec<(u32, &'r Cell)>> {
    let mut groups: BTreeMap<u32, Vec<(u32, &Cell)>> = BTreeMap::new();
    for &cell in cells {
        if let Job::Fan { workers, producers, .. } = cell.job {
            groups.entry(producers).or_default().push((workers, cell));
        }
    }
    groups.values_mut().for_each(|group| group.sort_by_key(|&(workers, _)| workers));
    groups
}

fn throughput(producers: u32, cells: &[(u32, &Cell)]) -> io::Result<Figure> {
    let plot = plots::throughput(cells);
    let saturation = plot.as_ref().map_or(&[][..], |(_, saturation)| saturation);
    let each = saturation.iter().map(|(runtime, at)| match at {
        Some(w) => format!("{} at W = {w}", runtime.name()),
        None => format!("{} not yet", runtime.name()),
    });
    let each = each.collect::<Vec<_>>().join(", ");
    Ok(Figure {
        title: format!("Throughput by workers, {}", counted(producers, "producer")),
        svg: plot.map(|(chart, _)| chart.svg()).transpose()?,
        finding: (!each.is_empty()).then(|| format!("Saturated: {each}.")),
        look: "the ring: the fewest workers that give within 5 % of a runtime's highest. To the right of it, more \
               workers mean more wakeups, not more speed. Without a ring it gained up to the last.",
        measured: "items collected, divided by the seconds from the main task's start to its end. Points are medians, \
                   the upright strokes reach from the lowest round to the highest.",
    })
}

/// Latency and memory of each cell.
fn of_cases(scenario: &Scenario, cells: &[&Cell]) -> io::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for cell in cells {
        let case = case(&cell.job);
        figures.push(Figure {
            title: format!("Latency: {case}"),
            svg: plots::latency(cell).map(|chart| chart.svg()).transpose()?,
            finding: None,
            look: scenario.look_at_latency,
            measured: timed(&cell.job),
        });
        figures.push(Figure {
            title: format!("Memory: {case}"),
            svg: plots::memory(cell).map(|chart| chart.svg()).transpose()?,
            finding: None,
            look: scenario.look_at_memory,
            measured: "the process's private resident memory, less what it had before the runtime was started. One \
                       round; read from outside.",
        });
    }
    Ok(figures)
}

/// Which stretch a latency is.
fn timed(job: &Job) -> &'static str {
    match job {
        Job::Token { rate: 0, .. } => {
            "every 61st request of a client, from before it lets the others run to its answer. All rounds together."
        }
        Job::Token { .. } => {
            "from the moment at which the schedule has a request arrive to its answer, so that a client which comes \
             late counts as slow. All rounds together."
        }
        Job::Fan { .. } => "every 61st item, from its making to its collection. All rounds together.",
        Job::Log { .. } => "how long a producer's send took; every 61st is timed. All rounds together.",
    }
}
