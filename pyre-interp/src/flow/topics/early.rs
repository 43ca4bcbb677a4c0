//! Event streams that have subscribed before they are an answer: which reactor is to have them, and which
//! app they belong to, nobody knows yet. So whoever publishes leaves the event with the stream itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::super::Outflow;
use super::super::sync::Mutex;
use super::Publication;

type Subscriptions = Mutex<Vec<(Arc<str>, Arc<Outflow>)>>;

/// Those of the whole process; they are few, as each becomes an answer as soon as its handler returns.
#[cfg(not(pyre_loom))]
static SUBSCRIPTIONS: Subscriptions = Mutex::new(Vec::new());

#[cfg(pyre_loom)]
loom::lazy_static! {
    static ref SUBSCRIPTIONS: Subscriptions = Mutex::new(Vec::new());
}

/// How many there are; written under the lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Whether there is none.
pub(super) fn is_empty() -> bool {
    // Relaxed: whoever has subscribed before something is published has ordered that by other means.
    COUNT.load(Relaxed) == 0
}

/// Notes that a stream has subscribed to a topic.
pub(in crate::flow) fn enter(topic: &Arc<str>, flow: &Arc<Outflow>) {
    let mut subscriptions = SUBSCRIPTIONS.lock();
    subscriptions.push((topic.clone(), flow.clone()));
    COUNT.store(subscriptions.len(), Relaxed);
}

/// Forgets that.
pub(in crate::flow) fn leave(topic: &str, flow: &Outflow) {
    let mut subscriptions = SUBSCRIPTIONS.lock();
    let is_it = |(name, other): &(Arc<str>, Arc<Outflow>)| {
        **name == *topic && std::ptr::eq(&raw const **other, flow)
    };
    let at = subscriptions.iter().position(is_it);
    let left = at.map(|at| subscriptions.swap_remove(at));
    COUNT.store(subscriptions.len(), Relaxed);
    drop(subscriptions);
    drop(left);
}

/// Whether any has subscribed to a topic.
pub(super) fn has(topic: &str) -> bool {
    !is_empty() && SUBSCRIPTIONS.lock().iter().any(|(name, _)| **name == *topic)
}

/// Leaves what is published by the app of this number with those that have subscribed to it. Tells how
/// many of them have no room for it, and are given up.
pub(super) fn offer(app: u64, publication: &Publication) -> u64 {
    if is_empty() {
        return 0;
    }
    let mut given_up = 0;
    let subscriptions = SUBSCRIPTIONS.lock();
    for (topic, flow) in &*subscriptions {
        if **topic == *publication.topic() && !flow.offer_early(app, publication) {
            given_up += u64::from(flow.fail());
        }
    }
    given_up
}
