//! What one reactor counts, in a block of memory that no other thread writes. Hot path.
//!
//! Only the reactor adds, with a load and a store; whoever reads sums the blocks of all reactors.
//! A reader may see one number of a request and not yet the other, never half a number.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use pyre_http::method::Method;
use pyre_interp::job::{RouteId, Target};

use crate::shared::histogram::{Duration, Durations, Histogram};

/// A number that one thread changes and others read.
#[derive(Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    /// Adds to it. Only its one writer may.
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        // Relaxed: nothing is read by way of a count. A load and a store, as nobody else writes.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// Sets it. Only its one writer may.
    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Statuses that most answers have; each has a place of its own in every row.
const COMMON: [u16; 31] = [
    200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409,
    410, 413, 415, 416, 422, 429, 431, 500, 502, 503, 504, 505,
];

/// The place of a status that is not common.
const RARE: u8 = COMMON.len() as u8;

/// The place of each status, by what it is above 100.
const PLACES: [u8; 512] = {
    let mut places = [RARE; 512];
    let mut place = 0;
    while place < COMMON.len() {
        places[COMMON[place] as usize - 100] = place as u8;
        place += 1;
    }
    places
};

/// What a request was for, as the counts tell it apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Label {
    /// A handler.
    Target(Target),
    /// A page of the server itself, by its index.
    Direct(usize),
    /// No route.
    Unmatched,
}

/// Methods that `Method` tells apart.
const METHODS: usize = Method::Other as usize + 1;

/// Where the rows of what are, for a table of routes. A route has two: one for its own method, and
/// one for HEAD, which follows GET. What has no method of its own has a row for each.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    routes: usize,
    directs: usize,
    mounts: usize,
}

impl Rows {
    pub(crate) fn new(routes: usize, directs: usize, mounts: usize) -> Self {
        Self { routes, directs, mounts }
    }

    /// How many rows there are.
    pub(crate) fn count(self) -> usize {
        self.routes * 2 + (2 + self.directs + self.mounts) * METHODS
    }

    #[inline]
    fn index(self, label: Label, method: Method) -> usize {
        let base = self.routes * 2;
        match label {
            Label::Target(Target::Route(RouteId(route))) => {
                route as usize * 2 + usize::from(method == Method::Head)
            }
            Label::Target(Target::Fallback) => base + method as usize,
            Label::Unmatched => base + METHODS + method as usize,
            Label::Direct(direct) => base + (2 + direct) * METHODS + method as usize,
            Label::Target(Target::Files(mount)) => {
                base + (2 + self.directs + mount as usize) * METHODS + method as usize
            }
        }
    }

    /// What a row is for: the label and, unless it is the route's own, the method.
    pub(crate) fn label(self, row: usize) -> (Label, Option<Method>) {
        let base = self.routes * 2;
        if row < base {
            let route = RouteId(u32::try_from(row / 2).expect("routes are fewer than 2^20"));
            return (Label::Target(Target::Route(route)), (row % 2 == 1).then_some(Method::Head));
        }
        let method = Method::ALL[(row - base) % METHODS];
        let label = match (row - base) / METHODS {
            0 => Label::Target(Target::Fallback),
            1 => Label::Unmatched,
            direct if direct < 2 + self.directs => Label::Direct(direct - 2),
            mount => {
                let mount = u32::try_from(mount - 2 - self.directs).expect("mounts are few");
                Label::Target(Target::Files(mount))
            }
        };
        (label, Some(method))
    }
}

/// Answers of one kind of request.
#[derive(Default)]
struct Row {
    statuses: [Tally; COMMON.len()],
    durations: Histogram,
}

/// What one reactor counts. It lies alone on its cache lines.
#[repr(align(128))]
pub(crate) struct Counters {
    /// Requests that were answered.
    pub(crate) requests: Tally,
    /// Requests whose handler ran on the thread that carried the reactor.
    pub(crate) inline: Tally,
    /// Times that the reactor was taken back from a lane.
    pub(crate) take_backs: Tally,
    /// Requests answered 503, because every queue was full.
    pub(crate) overloaded: Tally,
    /// Requests answered 504 while their handler, which could not be interrupted, ran on.
    pub(crate) timed_out: Tally,
    /// Connections accepted.
    pub(crate) accepted: Tally,
    /// Times that no connection could be accepted, for want of descriptors or memory.
    pub(crate) accept_failures: Tally,
    /// Connections that are open.
    pub(crate) open: Tally,
    /// Answers in pieces that were begun, those that have ended, and the bytes of their pieces.
    pub(crate) streams_begun: Tally,
    pub(crate) streams_ended: Tally,
    pub(crate) stream_bytes: Tally,
    /// WebSockets that were begun, and those that have ended.
    pub(crate) sockets_begun: Tally,
    pub(crate) sockets_ended: Tally,
    /// Messages of them that have come and gone, and their bytes.
    pub(crate) socket_received: Tally,
    pub(crate) socket_received_bytes: Tally,
    pub(crate) socket_sent: Tally,
    pub(crate) socket_sent_bytes: Tally,
    /// Publications that went to a subscriber, and subscribers that were dropped as they do not read.
    pub(crate) deliveries: Tally,
    pub(crate) dropped_subscribers: Tally,
    /// Jobs that are with lanes, or wait for one.
    pub(crate) running: Tally,
    /// Jobs pushed into rings and not taken back.
    pub(crate) pushed: Tally,
    /// Jobs that wait for a lane outside of the rings.
    pub(crate) waiting: Tally,
    place: Rows,
    /// By kind of request; empty if answers are not counted.
    rows: Box<[Row]>,
    /// Counts of rare statuses, by row and status.
    rare: Mutex<HashMap<(usize, u16), u64>>,
}

impl Counters {
    /// Counters at zero. Without `rows` answers are not counted by what they are for.
    pub(crate) fn new(rows: Option<Rows>) -> Self {
        let count = rows.map_or(0, Rows::count);
        Self {
            requests: Tally::default(),
            inline: Tally::default(),
            take_backs: Tally::default(),
            overloaded: Tally::default(),
            timed_out: Tally::default(),
            accepted: Tally::default(),
            accept_failures: Tally::default(),
            open: Tally::default(),
            streams_begun: Tally::default(),
            streams_ended: Tally::default(),
            stream_bytes: Tally::default(),
            sockets_begun: Tally::default(),
            sockets_ended: Tally::default(),
            socket_received: Tally::default(),
            socket_received_bytes: Tally::default(),
            socket_sent: Tally::default(),
            socket_sent_bytes: Tally::default(),
            deliveries: Tally::default(),
            dropped_subscribers: Tally::default(),
            running: Tally::default(),
            pushed: Tally::default(),
            waiting: Tally::default(),
            place: rows.unwrap_or(Rows::new(0, 0, 0)),
            rows: (0..count).map(|_| Row::default()).collect(),
            rare: Mutex::default(),
        }
    }

    /// Whether answers are counted by what they are for.
    #[inline]
    pub(crate) fn is_detailed(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Counts an answer, and how long it took if a handler made it.
    #[inline]
    pub(crate) fn answered(
        &self,
        label: Label,
        method: Method,
        status: u16,
        took: Option<Duration>,
    ) {
        let index = self.place.index(label, method);
        let Some(row) = self.rows.get(index) else { return };
        let place = PLACES[usize::from(status.wrapping_sub(100)) % PLACES.len()];
        match row.statuses.get(usize::from(place)) {
            Some(count) => count.add(1),
            None => self.answered_rarely(index, status),
        }
        if let Some(took) = took {
            row.durations.note(took);
        }
    }

    #[cold]
    fn answered_rarely(&self, row: usize, status: u16) {
        *self.rare.lock().entry((row, status)).or_default() += 1;
    }
}

/// The answers of one kind of request, from all reactors.
#[derive(Default)]
pub(crate) struct Answers {
    /// Counts by status, in ascending order, none of them 0.
    pub(crate) statuses: Vec<(u16, u64)>,
    pub(crate) durations: Durations,
}

/// Sums the answers of all reactors, by row.
pub(crate) fn answers(reactors: &[impl AsRef<Counters>]) -> Vec<Answers> {
    let Some(first) = reactors.first() else { return Vec::new() };
    let mut sums: Vec<Answers> = Vec::new();
    sums.resize_with(first.as_ref().rows.len(), Answers::default);
    for (index, sum) in sums.iter_mut().enumerate() {
        for (place, status) in COMMON.into_iter().enumerate() {
            let count =
                reactors.iter().map(|one| one.as_ref().rows[index].statuses[place].get()).sum();
            if count > 0 {
                sum.statuses.push((status, count));
            }
        }
        reactors.iter().for_each(|one| sum.durations.add(&one.as_ref().rows[index].durations));
    }
    let mut rare: HashMap<(usize, u16), u64> = HashMap::new();
    for one in reactors {
        for (&at, &count) in &*one.as_ref().rare.lock() {
            *rare.entry(at).or_default() += count;
        }
    }
    for ((row, status), count) in rare {
        sums[row].statuses.push((status, count));
        sums[row].statuses.sort_unstable();
    }
    sums
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn every_row_has_its_own_place() {
        let rows = Rows::new(3, 2, 2);
        for row in 0..rows.count() {
            let (label, method) = rows.label(row);
            let index = rows.index(label, method.unwrap_or(Method::Post));
            assert_eq!(index, row, "{label:?} {method:?}");
        }
    }

    #[test]
    fn no_status_is_lost() {
        let rows = Rows::new(1, 0, 0);
        let reactors = [(); 2].map(|()| Arc::new(Counters::new(Some(rows))));
        let route = Label::Target(Target::Route(RouteId(0)));
        for status in 100..=611 {
            for (times, counters) in reactors.iter().enumerate() {
                for _ in 0..=times {
                    counters.answered(route, Method::Get, status, Some(Duration::of_us(1)));
                }
            }
        }
        let sums = answers(&reactors);
        let expected: Vec<_> = (100..=611).map(|status| (status, 3)).collect();
        assert_eq!(sums[0].statuses, expected);
        assert_eq!(sums[0].durations.count(), 512 * 3);
        assert!(sums[1].statuses.is_empty());
    }

    #[test]
    fn without_rows_nothing_is_kept() {
        let counters = Counters::new(None);
        counters.answered(Label::Unmatched, Method::Get, 404, None);
        assert!(!counters.is_detailed());
        assert!(answers(&[Arc::new(counters)]).is_empty());
    }
}
