//! What is shown of topics.

use super::Page;
use crate::shared::vitals::Vitals;

pub(super) fn about(page: &mut Page, vitals: &Vitals) {
    let topics = &vitals.topics;
    page.one(
        "pyre_topic_publications_total",
        "counter",
        "Messages that were published to topics.",
        topics.published(),
    );
    page.one(
        "pyre_topic_deliveries_total",
        "counter",
        "Times that such a message went to a subscriber.",
        vitals.sum(|counters| &counters.deliveries),
    );
    page.one(
        "pyre_topic_subscriptions",
        "gauge",
        "Subscriptions of open connections to topics.",
        topics.subscriptions(),
    );
    page.one(
        "pyre_topic_dropped_subscribers_total",
        "counter",
        "Subscribers whose connection was ended, as they did not read what was published.",
        vitals.sum(|counters| &counters.dropped_subscribers) + topics.dropped_early(),
    );
}
