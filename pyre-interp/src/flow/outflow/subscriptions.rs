//! Which topics a flow has subscribed to. That ends with the flow.

use std::sync::Arc;

use pyre_http::h1::serialize::Delimited;

use super::{Outflow, Stage};
use crate::flow::Reader;
use crate::flow::topics::{Form, Member, TOPICS_PER_CONNECTION_MAX, Topics, early};
use crate::job::ConnectionId;

/// What a flow has subscribed to.
#[derive(Default)]
pub(super) struct Subscriptions {
    /// Whose topics they are, once a lane has attached it.
    home: Option<Home>,
    /// Each with its place in the order; 0 as long as it has no home.
    topics: Vec<(Arc<str>, u64)>,
    /// The other end has gone.
    is_over: bool,
}

struct Home {
    topics: Arc<Topics>,
    connection: ConnectionId,
    /// How event streams hear it.
    form: Form,
}

/// What became of a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subscribed {
    /// It hears what is published from now on.
    Yes,
    /// It has subscribed to as many topics as may be.
    TooMany,
    /// Its pieces are compressed, which nobody does with what is published.
    Encoded,
    /// Nothing more can be sent.
    Over,
    /// Nobody is at the other end.
    Gone,
}

impl Outflow {
    /// As `attach`, for one that may subscribe to these topics, or has done so: what it has heard so far
    /// of them is sent, and what is published from now on comes by the reactor.
    pub fn attach_to(self: &Arc<Self>, reader: Reader, delimited: Delimited, topics: &Arc<Topics>) {
        let connection = reader.connection;
        let chunked = delimited == Delimited::Chunked;
        let form = if chunked { Form::Chunk } else { Form::Event };
        let mut own = self.subscriptions.lock();
        if own.topics.is_empty() {
            // It may have subscribed to some before.
            self.attach_for(reader, delimited, topics.number());
        } else {
            let mut desk = topics.lock();
            own.topics.iter().for_each(|(topic, _)| early::leave(topic, self));
            self.attach_for(reader, delimited, topics.number());
            for (topic, order) in &mut own.topics {
                let member = Member { connection, flow: self.clone(), form };
                *order = topics.enter_locked(&mut desk, topic, member);
            }
        }
        own.home = Some(Home { topics: topics.clone(), connection, form });
    }

    /// Subscribes to a topic; again does nothing. WebSockets say how they hear it.
    pub fn subscribe(self: &Arc<Self>, topic: &str, form: Option<Form>) -> Subscribed {
        let mut own = self.subscriptions.lock();
        match self.state.lock().stage {
            Stage::Open if !own.is_over => {}
            Stage::Open | Stage::Gone => return Subscribed::Gone,
            Stage::Ended | Stage::Failed | Stage::Over => return Subscribed::Over,
        }
        if own.topics.iter().any(|(known, _)| **known == *topic) {
            return Subscribed::Yes;
        }
        if self.is_encoded() {
            return Subscribed::Encoded;
        }
        if own.topics.len() >= TOPICS_PER_CONNECTION_MAX {
            return Subscribed::TooMany;
        }
        let topic: Arc<str> = topic.into();
        let order = match &own.home {
            Some(Home { topics, connection, form: of_streams }) => {
                let form = form.unwrap_or(*of_streams);
                let member = Member { connection: *connection, flow: self.clone(), form };
                topics.enter(&topic, member)
            }
            None => {
                early::enter(&topic, self);
                0
            }
        };
        own.topics.push((topic, order));
        Subscribed::Yes
    }

    /// Ends the subscription to a topic, if there is one.
    pub fn unsubscribe(&self, topic: &str) {
        let mut own = self.subscriptions.lock();
        let Some(at) = own.topics.iter().position(|(known, _)| **known == *topic) else { return };
        let (topic, order) = own.topics.swap_remove(at);
        self.leave(own.home.as_ref(), &topic, order);
    }

    /// Whether it has subscribed to any.
    #[must_use]
    pub fn is_subscribed(&self) -> bool {
        !self.subscriptions.lock().topics.is_empty()
    }

    /// Ends all subscriptions, for good.
    pub(super) fn end_subscriptions(&self) {
        let mut own = self.subscriptions.lock();
        own.is_over = true;
        let home = own.home.take();
        let topics = std::mem::take(&mut own.topics);
        for (topic, order) in topics {
            self.leave(home.as_ref(), &topic, order);
        }
        drop(own);
        // It may be the last one to know of these topics.
        drop(home);
    }

    fn leave(&self, home: Option<&Home>, topic: &str, order: u64) {
        match home {
            Some(Home { topics, connection, .. }) => topics.leave(connection.reactor, topic, order),
            None => early::leave(topic, self),
        }
    }
}
