//! The text format of Prometheus, version 0.0.4: a family a block, a sample a line.

mod topics; // what is published, and who hears it

use std::fmt::{Display, Write};

use crate::log::writer;
use crate::shared::counters::{self, Counters, Label, Tally};
use crate::shared::gil::GilWait;
use crate::shared::histogram::{BOUNDS_US, Durations};
use crate::shared::vitals::Vitals;
use crate::sys;
use pyre_http::method::Method;
use pyre_interp::job::Target;

/// The `Content-Type` of the format.
pub(crate) const CONTENT_TYPE: &[u8] = b"text/plain; version=0.0.4; charset=utf-8";

/// All metrics of a server.
pub(crate) fn expose(vitals: &Vitals) -> String {
    let mut page = Page { text: String::with_capacity(4096) };
    about_the_build(&mut page);
    about_answers(&mut page, vitals);
    about_queues(&mut page, vitals);
    about_short_handlers(&mut page, vitals);
    about_the_gil(&mut page, vitals);
    about_the_process(&mut page, vitals);
    page.text
}

fn about_the_build(page: &mut Page) {
    page.family("pyre_build_info", "gauge", "Always 1; the labels tell the version.");
    page.sample("pyre_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
}

fn about_answers(page: &mut Page, vitals: &Vitals) {
    let answers = counters::answers(&vitals.counters);
    let labels: Vec<_> = (0..answers.len()).map(|row| row_labels(vitals, row)).collect();
    page.family(
        "pyre_requests_total",
        "counter",
        "Requests answered, by method, template of the route and status.",
    );
    for (answers, (method, route)) in answers.iter().zip(&labels) {
        for &(status, count) in &answers.statuses {
            let status = status.to_string();
            let labels = [("method", *method), ("route", *route), ("status", status.as_str())];
            page.sample("pyre_requests_total", &labels, count);
        }
    }
    page.family(
        "pyre_request_duration_seconds",
        "histogram",
        "Time from a request being read to the answer of its handler coming back.",
    );
    for (answers, (method, route)) in answers.iter().zip(&labels) {
        if answers.durations.count() > 0 {
            page.histogram("pyre_request_duration_seconds", method, route, &answers.durations);
        }
    }
}

/// Method and route of a row. The route is empty for what no route matched.
fn row_labels(vitals: &Vitals, row: usize) -> (&str, &str) {
    let (label, method) = vitals.rows.label(row);
    let name = |method: Method| match method {
        Method::Other => "other",
        named => named.as_str(),
    };
    let own = match label {
        Label::Target(Target::Route(id)) => &*vitals.table.route(id).method,
        _ => "",
    };
    (method.map_or(own, name), vitals.route(label))
}

fn about_queues(page: &mut Page, vitals: &Vitals) {
    let sum = |number: fn(&Counters) -> &Tally| vitals.sum(number);
    page.one(
        "pyre_connections_open",
        "gauge",
        "Connections that are open.",
        sum(|counters| &counters.open),
    );
    page.one(
        "pyre_connections_total",
        "counter",
        "Connections accepted.",
        sum(|counters| &counters.accepted),
    );
    page.one(
        "pyre_accept_failures_total",
        "counter",
        "Attempts to accept connections that failed for lack of descriptors or memory.",
        sum(|counters| &counters.accept_failures),
    );
    let begun = sum(|counters| &counters.streams_begun);
    page.one(
        "pyre_streams_open",
        "gauge",
        "Answers in pieces that have not ended.",
        begun.saturating_sub(sum(|counters| &counters.streams_ended)),
    );
    page.one("pyre_streams_total", "counter", "Answers in pieces that have begun.", begun);
    page.one(
        "pyre_stream_sent_bytes_total",
        "counter",
        "Bytes of answers in pieces that have ended, without what frames them.",
        sum(|counters| &counters.stream_bytes),
    );
    let begun = sum(|counters| &counters.sockets_begun);
    page.one(
        "pyre_websockets_open",
        "gauge",
        "WebSockets that are open.",
        begun.saturating_sub(sum(|counters| &counters.sockets_ended)),
    );
    page.one("pyre_websockets_total", "counter", "WebSockets that have begun.", begun);
    page.both_ways(
        "pyre_websocket_messages_total",
        "Messages of WebSockets.",
        sum(|counters| &counters.socket_received),
        sum(|counters| &counters.socket_sent),
    );
    page.both_ways(
        "pyre_websocket_bytes_total",
        "Bytes of these messages, uncompressed.",
        sum(|counters| &counters.socket_received_bytes),
        sum(|counters| &counters.socket_sent_bytes),
    );
    topics::about(page, vitals);
    page.one(
        "pyre_jobs_in_flight",
        "gauge",
        "Batches of requests, one to a connection, that handlers have not answered.",
        sum(|counters| &counters.running),
    );
    page.one(
        "pyre_queue_depth",
        "gauge",
        "Batches of requests that no thread of an interpreter has taken yet.",
        vitals.queued(),
    );
    page.one(
        "pyre_overloaded_total",
        "counter",
        "Requests answered 503 because the queues were full.",
        sum(|counters| &counters.overloaded),
    );
    page.one(
        "pyre_timeouts_total",
        "counter",
        "Requests answered 504 while their handler, which could not be interrupted, ran on.",
        sum(|counters| &counters.timed_out),
    );
    page.family("pyre_lanes", "gauge", "Threads that run handlers, by interpreter.");
    let interpreters = vitals.interpreters();
    for &(name, lanes, _) in &interpreters {
        page.sample("pyre_lanes", &[("worker", name)], lanes);
    }
    page.family("pyre_lanes_busy", "gauge", "Threads that run handlers now, by interpreter.");
    for (name, _, busy) in interpreters {
        page.sample("pyre_lanes_busy", &[("worker", name)], busy);
    }
}

fn about_short_handlers(page: &mut Page, vitals: &Vitals) {
    if vitals.inline.is_empty() {
        return;
    }
    page.one(
        "pyre_inline_requests_total",
        "counter",
        "Requests whose handler ran on the thread that had read them.",
        vitals.sum(|counters| &counters.inline),
    );
    page.one(
        "pyre_take_backs_total",
        "counter",
        "Times that a thread which read requests was relieved, as its handler took long.",
        vitals.sum(|counters| &counters.take_backs),
    );
    page.one(
        "pyre_refused_suspicions_total",
        "counter",
        "Times that such a thread was not relieved, as it only waited for a CPU.",
        vitals.inline.iter().map(|inline| inline.carrier.refusals.get()).sum::<u64>(),
    );
    page.family(
        "pyre_route_short",
        "gauge",
        "Whether calls of a route may run on the thread that has read them, by io thread.",
    );
    short_routes(page, vitals, "pyre_route_short", |(is_short, _)| f64::from(u8::from(is_short)));
    page.family(
        "pyre_route_estimate_seconds",
        "gauge",
        "Mean time of recent calls of a route, as far as they were timed, by io thread.",
    );
    let seconds = |(_, estimate_us): (bool, u32)| f64::from(estimate_us) / 1e6;
    short_routes(page, vitals, "pyre_route_estimate_seconds", seconds);
}

fn short_routes(page: &mut Page, vitals: &Vitals, name: &str, sample: fn((bool, u32)) -> f64) {
    for (reactor, inline) in vitals.inline.iter().enumerate() {
        let io_worker = reactor.to_string();
        let routes =
            vitals.table.routes().iter().map(|route| (&*route.method, route.pattern.text()));
        let routes = routes.chain([("", vitals.route(Label::Target(Target::Fallback)))]);
        for ((method, route), shown) in routes.zip((inline.handlers)()) {
            let labels = [("io_worker", &*io_worker), ("method", method), ("route", route)];
            page.sample(name, &labels, sample(shown));
        }
    }
}

fn about_the_gil(page: &mut Page, vitals: &Vitals) {
    type Sample = fn(&GilWait) -> f64;
    let families: [(&str, &str, &str, Sample); 4] = [
        (
            "pyre_gil_last_wait_seconds",
            "gauge",
            "What the last probe has waited for the GIL of an interpreter, or waits now.",
            |wait| wait.now_us() as f64 / 1e6,
        ),
        (
            "pyre_gil_wait_seconds_total",
            "counter",
            "What all probes have waited for the GIL of an interpreter.",
            |wait| wait.total_us() as f64 / 1e6,
        ),
        (
            "pyre_gil_probes_total",
            "counter",
            "How often the GIL of an interpreter was asked for.",
            |wait| wait.probes() as f64,
        ),
        (
            "pyre_gil_held_long_total",
            "counter",
            "How often the GIL of an interpreter was not to be had for longer than gil_watchdog.",
            |wait| wait.long() as f64,
        ),
    ];
    for (name, kind, help, sample) in families {
        if !vitals.gil.is_empty() {
            page.family(name, kind, help);
        }
        for wait in &vitals.gil {
            page.sample(name, &[("worker", &wait.name)], sample(wait));
        }
    }
}

fn about_the_process(page: &mut Page, vitals: &Vitals) {
    page.one(
        "pyre_log_dropped_total",
        "counter",
        "Log records dropped because the queue of the log was full.",
        writer::dropped(),
    );
    if let Some(bytes) = sys::resident_bytes() {
        let help = "Memory that this process has in use.";
        page.one("process_resident_memory_bytes", "gauge", help, bytes);
    }
    let help = "Unix time at which the server started.";
    page.one("pyre_start_time_seconds", "gauge", help, vitals.started_s);
}

/// A page being written.
struct Page {
    text: String,
}

impl Page {
    /// Begins a family of samples.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// A family of one sample without labels.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A counter of what has come from peers and gone to them.
    fn both_ways(&mut self, name: &str, help: &str, received: u64, sent: u64) {
        self.family(name, "counter", help);
        for (direction, number) in [("received", received), ("sent", sent)] {
            self.sample(name, &[("direction", direction)], number);
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        let mut before = '{';
        for (label, text) in labels {
            self.text.push(before);
            self.text.push_str(label);
            self.text.push_str("=\"");
            self.escaped(text);
            self.text.push('"');
            before = ',';
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.line(format_args!(" {value}"));
    }

    fn histogram(&mut self, name: &str, method: &str, route: &str, durations: &Durations) {
        let bucket_name = format!("{name}_bucket");
        let mut count = 0;
        let bounds = BOUNDS_US.iter().map(|&bound| (bound as f64 / 1e6).to_string());
        let bounds = bounds.chain(["+Inf".to_owned()]);
        for (bound, bucket) in bounds.zip(durations.buckets) {
            count += bucket;
            let labels = [("method", method), ("route", route), ("le", bound.as_str())];
            self.sample(&bucket_name, &labels, count);
        }
        let labels = [("method", method), ("route", route)];
        self.sample(&format!("{name}_sum"), &labels, durations.sum_us as f64 / 1e6);
        self.sample(&format!("{name}_count"), &labels, count);
    }

    /// The text of a label: backslash, quote and line feed have to be escaped.
    fn escaped(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '\\' => self.text.push_str("\\\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str("\\n"),
                other => self.text.push(other),
            }
        }
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a String takes everything");
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::histogram::{Duration, Histogram};

    #[test]
    fn samples_and_their_labels() {
        let mut page = Page { text: String::new() };
        page.one("a_total", "counter", "Some.", 3);
        page.sample("b", &[("route", "/a\"\\\n")], 0.5);
        let expected = "# HELP a_total Some.\n# TYPE a_total counter\na_total 3\n\
                        b{route=\"/a\\\"\\\\\\n\"} 0.5\n";
        assert_eq!(page.text, expected);
    }

    #[test]
    fn buckets_add_up() {
        let histogram = Histogram::default();
        for us in [100, 700, 20_000_000] {
            histogram.note(Duration::of_us(us));
        }
        let mut durations = Durations::default();
        durations.add(&histogram);
        let mut page = Page { text: String::new() };
        page.histogram("t", "GET", "/", &durations);
        for line in [
            "t_bucket{method=\"GET\",route=\"/\",le=\"0.0005\"} 1\n",
            "t_bucket{method=\"GET\",route=\"/\",le=\"0.001\"} 2\n",
            "t_bucket{method=\"GET\",route=\"/\",le=\"10\"} 2\n",
            "t_bucket{method=\"GET\",route=\"/\",le=\"+Inf\"} 3\n",
            "t_sum{method=\"GET\",route=\"/\"} 20.0008\n",
            "t_count{method=\"GET\",route=\"/\"} 3\n",
        ] {
            assert!(page.text.contains(line), "{line}{}", page.text);
        }
    }
}
