//! The showcases while they are recorded: whether events and their price explain the slow-down.

use std::io;

use crate::Extent;
use crate::rounds::{Rounds, Sort};
use crate::table::{Table, percent};
use crate::workloads::{SHOWCASES, YIELD};

pub(crate) fn measure(extent: &Extent) -> io::Result<()> {
    let bare = Rounds::of(&YIELD, 1, extent)?;
    let price = bare.added(Sort::Flight, |sample| sample.ns) / bare.events();
    let mut rows = Vec::new();
    for procs in if extent.procs == 1 { vec![1] } else { vec![1, extent.procs] } {
        for workload in &SHOWCASES {
            let rounds = Rounds::of(workload, procs, extent)?;
            let [off, on] = [Sort::Off, Sort::Flight].map(|sort| rounds.median(sort, |sample| sample.ns));
            let [cpu, cpu_on] =
                [Sort::Off, Sort::Flight].map(|sort| rounds.median(sort, |sample| sample.cpu));
            let events = rounds.events();
            rows.push(vec![
                workload.name.to_owned(),
                procs.to_string(),
                format!("{off:.1}"),
                format!("{on:.1}"),
                percent(off, on),
                format!("{events:.2}"),
                format!("{:.1}", events * price),
                format!("{:.1}", rounds.added(Sort::Flight, |sample| sample.cpu)),
                percent(cpu, cpu_on),
            ]);
        }
    }
    let [ns, on, more] = ["ns off", "ns on", "slower by"];
    let [events, product, added, share] = ["events", "× price", "core ns more", "core time"];
    Table {
        title: "showcase: an item, without and with a flight recorder".into(),
        columns: vec!["item", "Ps", ns, on, more, events, product, added, share],
        rows,
        notes: vec![
            format!("× price: an item's events by {price:.1} ns, what one costs a task that yields alone; core ns more: measured,"),
            "in the time of all cores, which the system counts at its ticks, some milliseconds apart".into(),
        ],
    }
    .print()
}
