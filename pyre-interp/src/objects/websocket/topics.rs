//! What a WebSocket has subscribed to.

use pyre_ffi::{Arguments, Attached, Instance, Object, Owned, Raised, Signature};

use super::WebSocket;
use crate::objects::topics::{check_subscribed, topic_of};

const SUBSCRIBE: Signature<1> = Signature::all("subscribe", ["topic"]);
const UNSUBSCRIBE: Signature<1> = Signature::all("unsubscribe", ["topic"]);

impl WebSocket {
    /// `subscribe(topic)`: what is published from now on is sent. Answers the handshake, as all use does.
    pub(super) fn subscribe<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [topic] = given.parse(&SUBSCRIBE, py)?;
        let topic = topic_of(py, &topic.expect("it is required"))?;
        this.begin(py)?;
        let subscribed = this.flow.subscribe(&topic, Some(this.hears_as.get()));
        check_subscribed(py, subscribed, || this.refusal(py))?;
        Self::sent(this, py)
    }

    /// `unsubscribe(topic)`: the same in the other direction.
    pub(super) fn unsubscribe<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [topic] = given.parse(&UNSUBSCRIBE, py)?;
        this.flow.unsubscribe(&topic_of(py, &topic.expect("it is required"))?);
        Self::sent(this, py)
    }
}
