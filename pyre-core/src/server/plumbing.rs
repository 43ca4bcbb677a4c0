//! Rings, doorbells and rosters between all threads, made before any of them starts.

use std::io;
use std::sync::Arc;

use mio::{Poll, Waker};
use pyre_interp::ring::{Doorbell, Roster, ring};
use pyre_interp::worker::inlet::{Ends, Inlet};

use crate::inbound::submit::{Dispatch, Link};
use crate::reactor::run::DOORBELL;
use crate::settings::Settings;

/// What a reactor is made of, before it has its sockets.
pub(crate) struct ReactorParts {
    pub(crate) poll: Poll,
    pub(crate) dispatch: Dispatch,
}

/// What a pool of lanes is made of.
pub(crate) struct LaneParts {
    pub(crate) inlet: Inlet,
    pub(crate) roster: Arc<Roster>,
    pub(crate) lanes: usize,
}

/// All ends of everything that connects threads.
pub(crate) struct Plumbing {
    pub(crate) reactors: Vec<ReactorParts>,
    /// One for each worker.
    pub(crate) workers: Vec<LaneParts>,
    /// That of the main interpreter. Whether handlers run there is known once workers have started.
    pub(crate) main: LaneParts,
    pub(crate) doorbells: Vec<Arc<Doorbell>>,
    pub(crate) rosters: Vec<Arc<Roster>>,
}

/// Makes a pair of rings for every reactor and pool of lanes.
///
/// # Errors
/// If the system has no more descriptors for the polls.
pub(crate) fn lay(settings: &Settings) -> io::Result<Plumbing> {
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
    let mut pools = vec![settings.lanes; settings.workers];
    pools.push(settings.main_lanes);
    let mut links: Vec<Vec<Link>> = polls.iter().map(|_| Vec::new()).collect();
    let mut parts = Vec::new();
    for lanes in pools {
        let roster = Roster::new(lanes);
        let mut ends = Vec::new();
        for links in &mut links {
            // A lane must always find room for a reply: jobs in the ring, jobs being run, and
            // those that came back in this turn.
            let depth = settings.queue_depth.next_power_of_two();
            let replies = (settings.queue_depth + lanes).next_power_of_two() * 2;
            let (to_worker, from_reactor) = ring(depth);
            let (to_reactor, from_worker) = ring(replies);
            links.push(Link::new(to_worker, from_worker, roster.clone(), lanes, replies));
            ends.push(Ends { jobs: from_reactor, replies: to_reactor });
        }
        parts.push(LaneParts { inlet: Inlet::new(ends), roster, lanes });
    }
    let rosters = parts.iter().map(|part| part.roster.clone()).collect();
    let main = parts.pop().expect("the last pool is the main interpreter's");
    let reactors = polls
        .into_iter()
        .zip(links)
        .enumerate()
        .map(|(index, (poll, links))| ReactorParts {
            poll,
            dispatch: Dispatch::new(links, settings.workers, index, settings.queue_depth),
        })
        .collect();
    Ok(Plumbing { reactors, workers: parts, main, doorbells, rosters })
}
