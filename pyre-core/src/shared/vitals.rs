//! All counters of a server, summed when somebody reads them.

use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use pyre_interp::flow::topics::Topics;
use pyre_interp::job::Target;
use pyre_interp::ring::Roster;

use crate::router::RouteTable;
use crate::settings::{Pages, Settings};
use crate::shared::carrier::Carrier;
use crate::shared::counters::{Counters, Label, Rows, Tally};
use crate::shared::gil::GilWait;
use crate::shared::health::Health;

/// The lanes of one interpreter, or the one that runs its event loop, for reading.
#[derive(Clone)]
pub(crate) struct Lanes {
    pub(crate) roster: Arc<Roster>,
    pub(crate) count: usize,
    /// What the interpreter is called in metrics: the number of a worker, or `main`.
    pub(crate) name: String,
    pub(crate) is_on_main: bool,
}

/// What a reactor that lanes may carry shows of that.
pub(crate) struct Inline {
    pub(crate) carrier: Arc<Carrier>,
    /// Whether each handler counts as short, and the mean of its calls in microseconds: in the order
    /// of the routes, the fallback last.
    pub(crate) handlers: Box<dyn Fn() -> Vec<(bool, u32)> + Send + Sync>,
}

/// What can be read about a server while it runs. Holds nothing of Python.
pub(crate) struct Vitals {
    /// By reactor.
    pub(crate) counters: Vec<Arc<Counters>>,
    pub(crate) rows: Rows,
    pub(crate) table: Arc<RouteTable>,
    pub(crate) pages: Pages,
    pub(crate) lanes: Vec<Lanes>,
    pub(crate) health: Arc<Health>,
    pub(crate) topics: Arc<Topics>,
    /// By interpreter; empty if the GIL is not watched.
    pub(crate) gil: Vec<Arc<GilWait>>,
    /// By reactor; empty if handlers never run on the thread of one.
    pub(crate) inline: Vec<Inline>,
    /// Unix time of the start.
    pub(crate) started_s: f64,
}

/// The servers of this process, for what is asked about the process as a whole.
static SERVERS: Mutex<Vec<Weak<Vitals>>> = Mutex::new(Vec::new());

/// The servers that run in this process.
pub(crate) fn servers() -> Vec<Arc<Vitals>> {
    SERVERS.lock().iter().filter_map(Weak::upgrade).collect()
}

impl Vitals {
    /// Makes the counters of a server, and lists it among those of the process.
    pub(crate) fn new(
        settings: &Settings,
        table: Arc<RouteTable>,
        lanes: Vec<Lanes>,
        health: Arc<Health>,
        topics: Arc<Topics>,
        gil: Vec<Arc<GilWait>>,
        inline: Vec<Inline>,
    ) -> Arc<Self> {
        let pages = settings.pages.clone();
        let rows = Rows::new(table.routes().len(), pages.count(), table.mounts().count());
        let detailed = settings.metrics.then_some(rows);
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let vitals = Arc::new(Self {
            counters: (0..settings.reactors).map(|_| Arc::new(Counters::new(detailed))).collect(),
            rows,
            table,
            pages,
            lanes,
            health,
            topics,
            gil,
            inline,
            started_s: since_epoch.map_or(0.0, |since| since.as_secs_f64()),
        });
        let mut servers = SERVERS.lock();
        servers.retain(|server| server.strong_count() > 0);
        servers.push(Arc::downgrade(&vitals));
        vitals
    }

    /// A number, summed over all reactors.
    pub(crate) fn sum(&self, number: impl Fn(&Counters) -> &Tally) -> u64 {
        self.counters.iter().map(|counters| number(counters).get()).sum()
    }

    /// The interpreters: what each is called, how many lanes it has, and how many of them are busy.
    pub(crate) fn interpreters(&self) -> Vec<(&str, usize, usize)> {
        let mut found: Vec<(&str, usize, usize)> = Vec::new();
        for Lanes { name, count, roster, .. } in &self.lanes {
            let busy = roster.busy();
            match found.iter_mut().find(|(other, ..)| other == name) {
                Some(all) => (all.1, all.2) = (all.1 + count, all.2 + busy),
                None => found.push((name, *count, busy)),
            }
        }
        found
    }

    /// The template of a route, or what stands for it; empty for what no route took.
    pub(crate) fn route(&self, label: Label) -> &str {
        match label {
            Label::Target(Target::Route(id)) => self.table.route(id).pattern.text(),
            Label::Target(Target::Fallback) => "fallback",
            Label::Target(Target::Files(mount)) => &self.table.mounts().get(mount).label,
            Label::Direct(index) => self.pages.path(index),
            Label::Unmatched => "",
        }
    }

    /// Jobs that no lane has taken: those in rings, and those that wait for a ring.
    pub(crate) fn queued(&self) -> u64 {
        // Takes first: a job pushed meanwhile counts as queued, and none counts as taken twice.
        let taken: u64 = self.lanes.iter().map(|lanes| lanes.roster.progress()).sum();
        let pushed = self.sum(|counters| &counters.pushed);
        pushed.saturating_sub(taken) + self.sum(|counters| &counters.waiting)
    }
}
