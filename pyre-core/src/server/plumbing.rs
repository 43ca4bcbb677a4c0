//! Rings, doorbells and rosters between all threads, made before any of them starts.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::{Poll, Waker};
use pyre_interp::job::Pool;
use pyre_interp::ring::{Baton, Doorbell, LANES_MAX, Roster, ring};
use pyre_interp::worker::inlet::{Ends, Inlet};
use pyre_interp::worker::watch::Watch;

use crate::connection::table::DOORBELL;
use crate::dispatch::errands::CarryingLanes;
use crate::dispatch::link::Link;
use crate::dispatch::workers::Workers;
use crate::reactor::keeper::Loan;
use crate::reactor::run::Reactor;
use crate::server::places::Crew;
use crate::settings::Settings;
use crate::shared::vitals::Lanes;

/// What a reactor is made of, before it has its sockets.
pub(crate) struct ReactorParts {
    pub(crate) poll: Poll,
    pub(crate) workers: Workers,
    /// What it takes to lend it, if lanes may carry it.
    pub(crate) loan: Option<Loan>,
}

/// What the lanes of an interpreter are made of, or the one that runs its event loop.
pub(crate) struct LaneParts {
    pub(crate) pool: Pool,
    pub(crate) inlet: Inlet,
    pub(crate) roster: Arc<Roster>,
    /// By the number of the seat.
    pub(crate) watches: Vec<Arc<Watch>>,
    /// How many to start.
    pub(crate) lanes: usize,
    /// Where they find the reactor that they carry.
    pub(crate) baton: Option<Arc<Baton<Reactor>>>,
}

/// What the threads of an interpreter are made of.
#[derive(Default)]
pub(crate) struct CrewParts {
    /// Absent if the event loop's thread is the only one.
    pub(crate) lanes: Option<LaneParts>,
    pub(crate) event_loop: Option<LaneParts>,
}

/// All ends of everything that connects threads.
pub(crate) struct Plumbing {
    pub(crate) reactors: Vec<ReactorParts>,
    /// One for each worker.
    pub(crate) workers: Vec<CrewParts>,
    /// That of the main interpreter. Whether handlers run there is known once workers have started.
    pub(crate) main: CrewParts,
    pub(crate) doorbells: Vec<Arc<Doorbell>>,
    pub(crate) lanes: Vec<Lanes>,
}

/// Makes a pair of rings for every reactor and pool of lanes.
///
/// # Errors
/// If the system has no more descriptors for the polls.
pub(crate) fn lay(settings: &Settings, worker: Crew, main: Crew) -> io::Result<Plumbing> {
    let mut polls = Vec::new();
    let mut doorbells = Vec::new();
    for _ in 0..settings.reactors {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), DOORBELL)?;
        doorbells.push(Arc::new(Doorbell::new(move || {
            // It can fail only if the counter of the eventfd is full: then it is awake anyway.
            let _ = waker.wake();
        })));
        polls.push(poll);
    }
    let mut layer =
        Layer { settings, links: polls.iter().map(|_| Vec::new()).collect(), all: Vec::new() };
    // Pool by pool: that is the order in which a reactor keeps its links.
    let workers = settings.workers;
    let mut lanes: Vec<_> = layer.several(workers, Pool::Workers, worker.lanes).collect();
    // Each worker carries the reactor whose home it is. There may be more of either.
    let loans: Vec<Loan> = if worker.carries {
        lanes.iter_mut().take(settings.reactors).map(|parts| lend_to(parts, settings)).collect()
    } else {
        Vec::new()
    };
    let (mut lanes, mut loans) = (lanes.into_iter(), loans.into_iter());
    let mut loops = layer.several(workers, Pool::WorkerLoops, usize::from(worker.has_loop));
    let mut crew = || CrewParts { lanes: lanes.next(), event_loop: loops.next() };
    let workers = (0..workers).map(|_| crew()).collect();
    let main = CrewParts {
        lanes: layer.several(1, Pool::Main, main.lanes).next(),
        event_loop: layer.several(1, Pool::MainLoop, usize::from(main.has_loop)).next(),
    };
    let Layer { links, all, .. } = layer;
    let reactors = polls
        .into_iter()
        .zip(links)
        .enumerate()
        .map(|(index, (poll, links))| ReactorParts {
            poll,
            workers: Workers::new(links, index, queue_share(settings)),
            loan: loans.next(),
        })
        .collect();
    Ok(Plumbing { reactors, workers, main, doorbells, lanes: all })
}

/// How many jobs may wait for a worker, of each reactor: the queue is shared among those who send to it.
fn queue_share(settings: &Settings) -> usize {
    settings.queue_depth.div_ceil(settings.reactors)
}

/// Lets the lanes of a worker carry a reactor; so there is one more of them.
fn lend_to(parts: &mut LaneParts, settings: &Settings) -> Loan {
    let baton = Baton::new();
    parts.baton = Some(baton.clone());
    parts.lanes += 1;
    parts.roster.vacate();
    Loan {
        baton,
        lanes: CarryingLanes {
            roster: parts.roster.clone(),
            watches: parts.watches.clone(),
            carrier: Arc::default(),
            waiting_max: queue_share(settings),
        },
        pause: Duration::from_millis(settings.take_back_ms),
    }
}

/// Lays the rings of one pool after the other.
struct Layer<'a> {
    settings: &'a Settings,
    /// By reactor.
    links: Vec<Vec<Link>>,
    all: Vec<Lanes>,
}

impl Layer<'_> {
    /// The parts of several interpreters; of none if they have no lanes in this pool.
    fn several(&mut self, count: usize, pool: Pool, lanes: usize) -> std::vec::IntoIter<LaneParts> {
        let count = if lanes == 0 { 0 } else { count };
        let parts: Vec<LaneParts> = (0..count).map(|index| self.one(pool, index, lanes)).collect();
        parts.into_iter()
    }

    fn one(&mut self, pool: Pool, index: usize, lanes: usize) -> LaneParts {
        let depth_max = self.settings.queue_depth;
        // Lanes that are stuck are replaced, as far as there are seats. An event loop cannot be:
        // what runs on it belongs to its thread.
        let seats = if pool.is_loop() { 1 } else { LANES_MAX };
        let roster = Roster::new(seats);
        let name = if pool.is_on_main() { "main".to_owned() } else { index.to_string() };
        let is_on_main = pool.is_on_main();
        self.all.push(Lanes { roster: roster.clone(), count: lanes, name, is_on_main });
        let mut ends = Vec::new();
        for links in &mut self.links {
            // A lane must always find room for a reply: jobs in the ring, jobs being run, and
            // those that came back in this turn.
            let depth = depth_max.next_power_of_two();
            let replies = (depth_max + seats).next_power_of_two() * 2;
            let (to_worker, from_reactor) = ring(depth);
            let (to_reactor, from_worker) = ring(replies);
            // Each lane may have one more that it did not have from the ring.
            let out_max = replies - seats;
            links.push(Link::new(to_worker, from_worker, roster.clone(), pool, lanes, out_max));
            ends.push(Ends { jobs: from_reactor, replies: to_reactor });
        }
        let watches = (0..seats).map(|_| Arc::default()).collect();
        LaneParts { pool, inlet: Inlet::new(ends), roster, watches, lanes, baton: None }
    }
}
