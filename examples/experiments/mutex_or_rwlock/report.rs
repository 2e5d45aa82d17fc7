//! What is printed: a table for each kind of work under the lock, where the Mutex overtakes, and the article's claims.

use crate::claim::Claim;
use crate::figures::{grouped, median};
use crate::table::Table;
use crate::{Row, Section, TASKS, WRITES};

/// Closer than that, neither lock is said to be ahead.
const DRAW: f64 = 0.03;

pub(crate) fn report(procs: usize, rounds: u32, rows: &[Row]) -> String {
    let tables: Vec<String> =
        Section::ALL.map(|section| table_of(section, procs, rounds, rows).to_string()).into();
    let claims: Vec<String> = claims(rows).iter().map(ToString::to_string).collect();
    format!("{}\n{}\n{}\n{}", tables.join("\n"), tipping_points(rows), claims.join("\n"), seen(rows))
}

fn table_of(section: Section, procs: usize, rounds: u32, rows: &[Row]) -> Table {
    let title = format!("{}: operations per second, {procs} Ps, median of {rounds} rounds", section.name());
    let columns =
        ["tasks", "writes", "Mutex", "RwLock", "RwLock/Mutex", "writer waits p99, Mutex", "with RwLock"];
    let mut table = Table::new(title, &columns);
    for Row { setting, mutex, rwlock, ratio } in rows.iter().filter(|row| row.setting.section == section) {
        table.row([
            setting.tasks.to_string(),
            format!("{} %", setting.percent),
            grouped(mutex.per_second as u64),
            grouped(rwlock.per_second as u64),
            format!("{ratio:.2}"),
            format!("{:.2} µs", mutex.wait_p99),
            format!("{:.2} µs", rwlock.wait_p99),
        ]);
    }
    table
}

/// For each number of tasks the least share of writes, and for each share the least number of tasks, at which the Mutex is
/// ahead.
fn tipping_points(rows: &[Row]) -> Table {
    let columns =
        ["under the lock", "8 tasks", "16 tasks", "64 tasks", "1 %", "5 %", "10 %", "20 %", "30 % writes"];
    let mut table = Table::new(
        "Where the Mutex overtakes: from how many writes on, and from how many tasks on",
        &columns,
    );
    for section in Section::ALL {
        let ahead = || rows.iter().filter(|row| row.setting.section == section && row.ratio < 1.0 - DRAW);
        let writes = TASKS.map(|tasks| {
            let least = ahead().filter(|row| row.setting.tasks == tasks).map(|row| row.setting.percent).min();
            least.map_or("none here".to_owned(), |percent| format!("{percent} %"))
        });
        let tasks = WRITES.map(|percent| {
            let least =
                ahead().filter(|row| row.setting.percent == percent).map(|row| row.setting.tasks).min();
            least.map_or("none here".to_owned(), |tasks| format!("{tasks} tasks"))
        });
        table.row([section.name().to_owned()].into_iter().chain(writes).chain(tasks));
    }
    table.note(format!("Ahead is who does {:.0} % more.", DRAW * 100.0));
    table
}

/// The article reads one number under its locks. What locks, cores and Go it had is not said, so what can agree is who
/// is ahead, and by what manner of factor.
fn claims(rows: &[Row]) -> Vec<Claim> {
    let numbers = || rows.iter().filter(|row| row.setting.section == Section::Number);
    let at = |tasks, percent| {
        numbers()
            .find(|row| row.setting.tasks == tasks && row.setting.percent == percent)
            .expect("it was measured")
    };
    let ratio_of = |row: &Row| {
        let [mutex, rwlock] = [&row.mutex, &row.rwlock].map(|lock| grouped(lock.per_second as u64));
        format!("{rwlock} against {mutex} a second, {:.2} times", row.ratio)
    };
    let (few, many) = (at(8, 10), at(64, 10));

    // Starved is who waits for more than 1 ms and longer than with the other lock: Go's Mutex calls itself starving then.
    const STARVED: f64 = 1000.0;
    let longest = numbers().filter(|row| row.setting.tasks >= 16 && row.setting.percent > 5);
    let longest =
        longest.max_by(|a, b| a.rwlock.wait_p99.total_cmp(&b.rwlock.wait_p99)).expect("it was measured");
    let busy: Vec<&Row> = numbers().filter(|row| row.setting.percent > 20).collect();
    let spread =
        |of: fn(&Row) -> f64| 100.0 * busy.iter().map(|row| of(row)).sum::<f64>() / busy.len() as f64;
    let (mutex_spread, rwlock_spread) = (spread(|row| row.mutex.spread), spread(|row| row.rwlock.spread));
    vec![
        Claim {
            article: "8 readers, 10 % writes: RWMutex is ahead, 124,000 against 98,500 a second, 1.26 times",
            measured: ratio_of(few),
            agrees: few.ratio > 1.0 + DRAW,
        },
        Claim {
            article: "64 readers, 10 % writes: RWMutex is behind, 89,200 against 96,300 a second, 0.93 times",
            measured: ratio_of(many),
            agrees: many.ratio < 1.0 - DRAW,
        },
        Claim {
            article: "from 16 readers and more than 5 % writes on, RWMutex risks starving writers",
            measured: format!(
                "99 of 100 writers wait less than {:.1} µs ({:.1} µs with the Mutex) at {} tasks, {} % writes, the\n             \
                 worst of these (starved is more than 1 ms, by the measure of Go's Mutex)",
                longest.rwlock.wait_p99,
                longest.mutex.wait_p99,
                longest.setting.tasks,
                longest.setting.percent
            ),
            agrees: longest.rwlock.wait_p99 > longest.mutex.wait_p99.max(STARVED),
        },
        Claim {
            article: "above 20 % writes, Mutex is steadier",
            measured: format!(
                "from the worst round to the best it is {mutex_spread:.0} % of the median with the Mutex, {rwlock_spread:.0} % with the RwLock"
            ),
            agrees: mutex_spread < rwlock_spread,
        },
    ]
}

fn seen(rows: &[Row]) -> String {
    let ratios = |percent| {
        Section::ALL
            .map(|section| {
                let these = rows
                    .iter()
                    .filter(|row| row.setting.section == section && row.setting.percent == percent);
                format!("{:.2}", median(these.map(|row| row.ratio)))
            })
            .join(", ")
    };
    let [few, many] = [WRITES[0], WRITES[WRITES.len() - 1]];
    format!(
        "What to see in it: with {few} % writes the RwLock does {} times what the Mutex does (a number, a table, a wait;\n\
         the median of {TASKS:?} tasks), with {many} % it does {}. Each write empties the lock, and those that it\n\
         held back have to be woken: it is the share of writes that decides, and what is done under the lock.",
        ratios(few),
        ratios(many)
    )
}
