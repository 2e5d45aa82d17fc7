//! The page: what was measured where, whether the goals were reached, what went wrong, and a section per scenario.

use std::io;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{ink, sections};
use crate::results::{Goal, Machine, Results};
use crate::spec::Runtime;
use crate::units;

pub(crate) fn page(results: &Results) -> io::Result<Markup> {
    let title = title(results);
    Ok(html! {
        (DOCTYPE)
        html lang="en-GB" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) (PreEscaped(ink::style())) }
            }
            body {
                h1 { (title) }
                (list("Failures", "failures", &results.failures))
                (list("Left out", "left-out", &results.left_out))
                (goals(&results.goals))
                (settings(results))
                (machine(&results.machine))
                (sections::sections(results)?)
                (reading())
            }
        }
    })
}

/// Names those that ran: "gmprt, tokio and Go, doing the same".
fn title(results: &Results) -> String {
    let ran = |&runtime: &Runtime| {
        results.cells.iter().flat_map(|cell| &cell.rows).any(|row| row.runtime == runtime)
    };
    let all = [Runtime::Gmprt, Runtime::Tokio, Runtime::Go];
    let names: Vec<&str> = all.iter().copied().filter(ran).map(Runtime::name).collect();
    match &names[..] {
        [] => "Nothing was run".to_owned(),
        [only] => format!("{only}, measured"),
        [most @ .., last] => format!("{} and {last}: the same programs, measured", most.join(", ")),
    }
}

/// Nothing where there is nothing to list.
fn list(title: &str, class: &str, lines: &[String]) -> Markup {
    html! {
        @if !lines.is_empty() {
            section.notice.(class) {
                h2 { (title) }
                ul { @for line in lines { li { (line) } } }
            }
        }
    }
}

fn goals(goals: &[Goal]) -> Markup {
    html! {
        section {
            h2 { "Goals" }
            @if goals.is_empty() {
                p.none { "None were set." }
            } @else {
                div.wide tabindex="0" { table {
                    thead { tr { th { "goal" } th { "" } th { "reached in" } th { "worst" } } }
                    tbody { @for goal in goals { tr {
                        th scope="row" { (goal.what) }
                        td { (verdict(goal)) }
                        td { (goal.reached) " of " (goal.of) }
                        td { (goal.worst) }
                    } } }
                } }
            }
        }
    }
}

fn verdict(goal: &Goal) -> Markup {
    match goal {
        Goal { of: 0, .. } => html! { span.verdict { "not measured" } },
        Goal { reached, of, .. } if reached == of => html! { span.verdict.reached { "✓ reached" } },
        _ => html! { span.verdict.missed { "✗ not reached" } },
    }
}

fn settings(results: &Results) -> Markup {
    html! {
        section {
            h2 { "Settings" }
            dl {
                dt { "threads that run tasks" } dd { (results.procs) ", the same for all" }
                dt { "seconds" }
                dd { (units::short(units::count(results.seconds))) " for each scenario on each runtime, all rounds together" }
                dt { "rounds" } dd { (results.rounds) "; figures are medians over them, unless said otherwise" }
            }
        }
    }
}

fn machine(machine: &Machine) -> Markup {
    html! {
        section {
            h2 { "Machine" }
            dl {
                dt { "date" } dd { (machine.when) }
                dt { "processor" } dd { (machine.cpu) ", " (machine.cores) " of its cores for this program" }
                dt { "memory" }
                dd { @if machine.memory_bytes == 0 { "unknown" } @else { (units::bytes(machine.memory_bytes as f64)) } }
                dt { "kernel" } dd { (machine.kernel) }
                @for (name, version) in &machine.versions { dt { (name) } dd { (version) } }
            }
        }
    }
}

fn reading() -> Markup {
    html! {
        section {
            h2 { "How to read tables and plots" }
            ul {
                li {
                    "Set " span.best { "bold" } ": the best of its case, where it is at least 1 % ahead of the second."
                }
                li { "Ratios: above 1, gmprt is better. A dash: there is no such figure." }
                li { "Memory: how much the process's private memory grew, from before the runtime's start to its highest." }
                li {
                    "A line of latencies ends at the percentile for which there are too few samples: that of 99.9 % "
                    "takes a thousand."
                }
                li { "Each run is a process of its own. Counts of lines are of all rounds together." }
            }
        }
    }
}
