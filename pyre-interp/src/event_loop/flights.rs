//! Flights: requests whose coroutine waits for something, and how long each may.
//!
//! A flight has a number while it lasts. Flights that may take equally long stand in one queue, in
//! the order in which they end if nothing happens; so a deadline costs nothing until it passes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use pyre_ffi::{Instance, Owned};

use crate::event_loop::drivers::Driver;
use crate::invoke::stages::Stages;
use crate::job::{ConnectionId, Target};
use crate::objects::request::Request;
use crate::serialize::wire::Manner;

/// No flight.
const NONE: u32 = u32::MAX;

/// A request that waits.
pub(crate) struct Flight<'py> {
    pub(crate) request: Owned<'py, Instance<Request>>,
    pub(crate) driver: Driver<'py>,
    pub(crate) stages: Stages<'py>,
    pub(crate) target: Target,
    pub(crate) manner: Manner,
    /// Whose request it is.
    pub(crate) connection: ConnectionId,
    /// Why it was cancelled, if it was.
    pub(crate) end: Option<End>,
}

/// Why a flight was cancelled, the gravest last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum End {
    /// It took longer than it may.
    Overrun,
    /// Its client is gone.
    Disconnected,
    /// The server stops.
    Closed,
}

/// A place for a flight, and its neighbours in the queue.
struct Place<'py> {
    flight: Option<Flight<'py>>,
    queue: usize,
    deadline: Instant,
    before: u32,
    after: u32,
}

/// Flights that may take equally long, the oldest first.
struct Queue {
    span: Duration,
    first: u32,
    last: u32,
}

/// All flights of one event loop.
#[derive(Default)]
pub(crate) struct Flights<'py> {
    places: Vec<Place<'py>>,
    free: Vec<u32>,
    queues: Vec<Queue>,
    by_connection: HashMap<ConnectionId, u32, BuildHasherDefault<IdHasher>>,
}

/// Hashes ids of connections, which the server itself gives away: nobody else can make them collide.
#[derive(Default)]
struct IdHasher {
    state: u64,
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u32(byte.into()));
    }

    fn write_u32(&mut self, number: u32) {
        const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
        self.state = (self.state.rotate_left(29) ^ u64::from(number)).wrapping_mul(MULTIPLIER);
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

impl<'py> Flights<'py> {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_connection.is_empty()
    }

    /// The number that the next flight gets.
    pub(crate) fn next_number(&self) -> u32 {
        self.free.last().copied().unwrap_or_else(|| {
            u32::try_from(self.places.len()).expect("connections are fewer than 2^32")
        })
    }

    /// Adds a flight that may last so long, or for ever.
    pub(crate) fn insert(
        &mut self,
        flight: Flight<'py>,
        now: Instant,
        span: Option<Duration>,
    ) -> u32 {
        self.by_connection.insert(flight.connection, self.next_number());
        let span = span.unwrap_or(Duration::MAX);
        let queue = self.queue(span);
        let before = self.queues[queue].last;
        let deadline = now.checked_add(span).unwrap_or(now + Duration::from_secs(1 << 32));
        let place = Place { flight: Some(flight), queue, deadline, before, after: NONE };
        let number = match self.free.pop() {
            Some(number) => {
                self.places[number as usize] = place;
                number
            }
            None => {
                self.places.push(place);
                u32::try_from(self.places.len() - 1).expect("as checked by `next_number`")
            }
        };
        match before {
            NONE => self.queues[queue].first = number,
            before => self.places[before as usize].after = number,
        }
        self.queues[queue].last = number;
        number
    }

    /// Takes a flight out.
    pub(crate) fn remove(&mut self, number: u32) -> Option<Flight<'py>> {
        let flight = self.places.get_mut(number as usize)?.flight.take()?;
        self.leave_queue(number);
        self.by_connection.remove(&flight.connection);
        self.free.push(number);
        Some(flight)
    }

    pub(crate) fn get(&mut self, number: u32) -> Option<&mut Flight<'py>> {
        self.places.get_mut(number as usize)?.flight.as_mut()
    }

    /// The flight of a connection.
    pub(crate) fn of(&self, connection: &ConnectionId) -> Option<u32> {
        self.by_connection.get(connection).copied()
    }

    /// The numbers of all flights.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.by_connection.values().copied().collect()
    }

    /// A flight whose deadline has passed; it has none from now on.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<u32> {
        let late = self
            .queues
            .iter()
            .map(|queue| queue.first)
            .find(|&first| first != NONE && self.places[first as usize].deadline <= now)?;
        self.leave_queue(late);
        Some(late)
    }

    /// The next deadline.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let firsts = self.queues.iter().filter(|queue| queue.first != NONE);
        firsts.map(|queue| self.places[queue.first as usize].deadline).min()
    }

    /// The queue for a span. There are as many spans as routes say, and those are few.
    fn queue(&mut self, span: Duration) -> usize {
        match self.queues.iter().position(|queue| queue.span == span) {
            Some(queue) => queue,
            None => {
                self.queues.push(Queue { span, first: NONE, last: NONE });
                self.queues.len() - 1
            }
        }
    }

    fn leave_queue(&mut self, number: u32) {
        let Place { queue, before, after, .. } = self.places[number as usize];
        if queue == usize::MAX {
            return;
        }
        match before {
            NONE => self.queues[queue].first = after,
            before => self.places[before as usize].after = after,
        }
        match after {
            NONE => self.queues[queue].last = before,
            after => self.places[after as usize].before = before,
        }
        self.places[number as usize].queue = usize::MAX;
    }
}
