//! A runtime's metrics in Prometheus' terms.
//!
//! One scrape is one `metrics()`: all samples on a page are of the same look. The runtime's counters are absolute, so
//! nothing is kept here between scrapes, and nobody polls. Values are `f64`, as in Prometheus: whole numbers are exact
//! up to 2^53.
//!
//! The scheduling latency is a histogram whose `_sum` is too low: each latency is added as the lower bound of its
//! bucket, since the runtime counts latencies and does not add them up. Go's exporter does the same for its histograms.

use gmprt::Handle;
use gmprt::metrics::{Metrics, ProcessorMetrics};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, Bucket, LabelPair, Metric, MetricFamily, MetricType};
use std::collections::HashMap;
use std::time::Duration;

pub(crate) struct RuntimeCollector {
    runtime: Handle,
    descs: Vec<Desc>,
}

impl RuntimeCollector {
    pub(crate) fn new(runtime: Handle) -> prometheus::Result<RuntimeCollector> {
        let descs = families(&runtime.metrics()).iter().map(desc).collect::<Result<_, _>>()?;
        Ok(RuntimeCollector { runtime, descs })
    }
}

impl Collector for RuntimeCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        families(&self.runtime.metrics())
    }
}

/// What the registry wants to know of a family beforehand, to refuse a name that stands for two things.
fn desc(family: &MetricFamily) -> prometheus::Result<Desc> {
    let labels = family.get_metric()[0].get_label().iter().map(|label| label.name().to_owned()).collect();
    Desc::new(family.name().to_owned(), family.help().to_owned(), labels, HashMap::new())
}

fn families(m: &Metrics) -> Vec<MetricFamily> {
    let counter = |name, help, value: u64| family(MetricType::COUNTER, name, help, vec![count(value)]);
    let gauge = |name, help, value: usize| family(MetricType::GAUGE, name, help, vec![level(value as u64)]);
    let per_p = |value: fn(&ProcessorMetrics) -> Metric| {
        m.processors.iter().map(|p| with("p", &p.id.index().to_string(), value(p))).collect()
    };
    let counters = |name, help, value| family(MetricType::COUNTER, name, help, per_p(value));
    vec![
        // Ps.
        gauge("gmprt_processors", "Ps: how many tasks may run at once.", m.processors.len()),
        gauge(
            "gmprt_idle_processors",
            "Ps that nobody holds and that have nothing to do.",
            m.idle_processors,
        ),
        counters("gmprt_busy_seconds_total", "Time for which a thread held the P.", |p| seconds(p.busy)),
        counters("gmprt_polls_total", "Polls begun on the P.", |p| count(p.polls)),
        counters("gmprt_schedticks_total", "Polls that began a time slice on the P.", |p| {
            count(p.schedticks)
        }),
        counters("gmprt_spawns_total", "Tasks spawned by tasks on the P.", |p| count(p.spawned)),
        // `steal_tries` are those that found nothing.
        counters("gmprt_steal_attempts_total", "Times the P looked for tasks at another P.", |p| {
            count(p.steal_tries + p.steals)
        }),
        counters("gmprt_steals_total", "Times the P took tasks from another P.", |p| count(p.steals)),
        counters("gmprt_stolen_tasks_total", "Tasks that the P took from others.", |p| count(p.stolen)),
        counters("gmprt_overflows_total", "Times the P spilled half of its full queue.", |p| {
            count(p.overflows)
        }),
        counters("gmprt_injector_takes_total", "Tasks that the P took from the injector.", |p| {
            count(p.injector_takes)
        }),
        counters("gmprt_timers_fired_total", "Timers that the P fired.", |p| count(p.timers_fired)),
        counters("gmprt_timers_stolen_total", "Timers of others that the P fired.", |p| {
            count(p.timers_stolen)
        }),
        family(
            MetricType::GAUGE,
            "gmprt_run_queue_length",
            "Tasks in the P's queue.",
            per_p(|p| level(p.queue_len as u64)),
        ),
        gauge("gmprt_injector_length", "Tasks in the injector, the queue that all Ps share.", m.injector_len),
        // Ms.
        gauge("gmprt_threads", "Threads of the runtime.", m.threads),
        gauge("gmprt_idle_threads", "Threads that sleep without a P.", m.idle_threads),
        gauge("gmprt_blocked_threads", "Threads whose poll goes on without a P.", m.blocked_threads),
        gauge("gmprt_spinning_threads", "Threads that look for work.", m.spinning),
        counter("gmprt_handoffs_total", "Ps given up by a thread that said it would block.", m.handoffs),
        family(
            MetricType::COUNTER,
            "gmprt_retakes_total",
            "Ps taken from a thread: its poll blocked unannounced, was in an announced block, or computed for long.",
            vec![
                with("reason", "blocked", count(m.retakes)),
                with("reason", "declared", count(m.retakes_declared)),
                with("reason", "hog", count(m.retakes_hogs)),
            ],
        ),
        counter(
            "gmprt_failed_thread_starts_total",
            "Times that no thread could be had for a P.",
            m.failed_starts,
        ),
        counter("gmprt_sysmon_rounds_total", "Times sysmon has looked at the Ps.", m.sysmon_rounds),
        // Gs.
        counter("gmprt_tasks_spawned_total", "Tasks spawned.", m.tasks.spawned),
        counter("gmprt_tasks_finished_total", "Tasks that returned.", m.tasks.finished),
        counter("gmprt_tasks_panicked_total", "Tasks that panicked.", m.tasks.panicked),
        counter("gmprt_tasks_aborted_total", "Tasks that were cancelled.", m.tasks.aborted),
        family(
            MetricType::GAUGE,
            "gmprt_tasks",
            "Tasks alive, by state.",
            vec![
                with("state", "running", level(m.tasks.running)),
                with("state", "runnable", level(m.tasks.runnable)),
                with("state", "waiting", level(m.tasks.waiting)),
            ],
        ),
        gauge("gmprt_tasks_alive", "Tasks spawned that have not ended.", m.tasks.alive as usize),
        family(
            MetricType::HISTOGRAM,
            "gmprt_scheduling_latency_seconds",
            "Time from when a task could run to when it ran, sampled. The sum is a lower bound.",
            vec![histogram(m.latencies.buckets())],
        ),
    ]
}

fn family(kind: MetricType, name: &str, help: &str, samples: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(samples);
    family
}

fn with(label: &str, value: &str, mut sample: Metric) -> Metric {
    let mut pair = LabelPair::default();
    pair.set_name(label.to_owned());
    pair.set_value(value.to_owned());
    sample.set_label(vec![pair]);
    sample
}

fn count(value: u64) -> Metric {
    counted(value as f64)
}

fn seconds(value: Duration) -> Metric {
    counted(value.as_secs_f64())
}

fn counted(value: f64) -> Metric {
    let mut counter = proto::Counter::default();
    counter.set_value(value);
    let mut sample = Metric::default();
    sample.set_counter(counter);
    sample
}

fn level(value: u64) -> Metric {
    let mut gauge = proto::Gauge::default();
    gauge.set_value(value as f64);
    Metric::from_gauge(gauge)
}

/// From the counts of single buckets, each up to its bound and no further, to Prometheus' running totals.
///
/// Each bucket is a series of its own in Prometheus, so narrow ones are put together until each bound is at least
/// twice the one before. That depends on the bounds alone: the same ones are on each page.
pub(crate) fn histogram(buckets: impl Iterator<Item = (Duration, u64)>) -> Metric {
    let (mut total, mut sum) = (0, 0.0);
    let (mut lower, mut shown) = (Duration::ZERO, None::<Duration>);
    let mut bounds = Vec::new();
    for (upper, count) in buckets {
        total += count;
        sum += lower.as_secs_f64() * count as f64;
        // The last bucket, which has no bound, is `+Inf`: the encoder writes it, from the count of all.
        if upper < Duration::MAX && shown.is_none_or(|shown| upper >= 2 * shown) {
            let mut bound = Bucket::default();
            bound.set_upper_bound(upper.as_secs_f64());
            bound.set_cumulative_count(total);
            bounds.push(bound);
            shown = Some(upper);
        }
        lower = upper;
    }
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(bounds);
    histogram.set_sample_count(total);
    histogram.set_sample_sum(sum);
    let mut sample = Metric::default();
    sample.set_histogram(histogram);
    sample
}
