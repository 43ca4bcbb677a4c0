//! What one reactor has of all topics: its subscribers, and what it has to write to them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound::Excluded;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::super::sync::Mutex;
use super::super::{Mailbox, Outflow};
use super::{Form, Publication};
use crate::job::ConnectionId;

/// What stands in a mailbox for the board: no connection has this number.
pub const BOARD: ConnectionId =
    ConnectionId { reactor: u32::MAX, slot: u32::MAX, generation: u32::MAX };

/// One that has subscribed to a topic.
#[derive(Clone)]
pub struct Member {
    /// Its connection.
    pub connection: ConnectionId,
    /// Where what is published goes, if it cannot be written at once.
    pub flow: Arc<Outflow>,
    /// How it hears it.
    pub form: Form,
}

/// Subscribers by their place in the order: who comes later stands behind, so that a reactor which goes
/// through them bit by bit meets each of them once, whoever comes or goes meanwhile.
#[derive(Default)]
struct Members {
    by_order: BTreeMap<u64, Member>,
    /// How many of them are event streams.
    streams: usize,
}

/// The board of one reactor.
pub struct Board {
    mailbox: Arc<Mailbox>,
    queue: Mutex<Queue>,
    topics: Mutex<HashMap<Arc<str>, Members>>,
    /// How many subscriptions there are; written under the lock of the topics.
    count: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    publications: VecDeque<Arc<Publication>>,
    /// The reactor looks again by itself.
    is_told: bool,
}

impl Board {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self {
            mailbox,
            queue: Mutex::new(Queue::default()),
            topics: Mutex::new(HashMap::new()),
            count: AtomicUsize::new(0),
        }
    }

    /// Leaves a publication for the reactor. Tells whether that has to be told of it.
    #[must_use]
    pub(super) fn put(&self, publication: Arc<Publication>) -> bool {
        let mut queue = self.queue.lock();
        queue.publications.push_back(publication);
        !std::mem::replace(&mut queue.is_told, true)
    }

    /// Has the reactor look at its board.
    pub(super) fn tell(&self) {
        self.mailbox.put(BOARD);
    }

    /// The next publication. If there is none, the reactor is told when there is.
    #[must_use]
    pub fn next(&self) -> Option<Arc<Publication>> {
        let mut queue = self.queue.lock();
        let next = queue.publications.pop_front();
        if next.is_none() {
            queue.is_told = false;
            queue.publications.shrink_to(64);
        }
        next
    }

    /// How many publications wait for the reactor.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.lock().publications.len()
    }

    /// The next `count` subscribers that hear a publication, from behind this place on.
    pub fn hearers(
        &self,
        publication: &Publication,
        behind: u64,
        count: usize,
        into: &mut Vec<(u64, Member)>,
    ) {
        let topics = self.topics.lock();
        let Some(members) = topics.get(publication.topic()) else { return };
        // Who has subscribed behind it does not hear it.
        let range = members.by_order.range((Excluded(behind), Excluded(publication.order())));
        into.extend(range.take(count).map(|(order, member)| (*order, member.clone())));
    }

    pub(super) fn enter(&self, topic: &Arc<str>, order: u64, member: Member) {
        let mut topics = self.topics.lock();
        let members = topics.entry(topic.clone()).or_default();
        members.streams += usize::from(member.form.is_event());
        members.by_order.insert(order, member);
        // Relaxed: whoever publishes behind this has the lock of the desk after us.
        self.count.fetch_add(1, Relaxed);
    }

    /// Takes a subscriber out, to be dropped without the lock.
    pub(super) fn leave(&self, topic: &str, order: u64) -> Option<Member> {
        let mut topics = self.topics.lock();
        let members = topics.get_mut(topic)?;
        let member = members.by_order.remove(&order)?;
        members.streams -= usize::from(member.form.is_event());
        if members.by_order.is_empty() {
            topics.remove(topic);
        }
        self.count.fetch_sub(1, Relaxed);
        Some(member)
    }

    pub(super) fn has_members(&self) -> bool {
        self.count() > 0
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    pub(super) fn has_streams(&self, topic: &str) -> bool {
        self.topics.lock().get(topic).is_some_and(|members| members.streams > 0)
    }

    /// Forgets what was published.
    pub(super) fn clear(&self) {
        let left = std::mem::take(&mut self.queue.lock().publications);
        // Without the lock: a publication that is dropped gives its room back.
        drop(left);
    }
}
