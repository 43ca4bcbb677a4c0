//! What an event stream has subscribed to.

use pyre_ffi::{Arguments, Attached, Instance, Object, Owned, Raised, Signature, Str};

use super::{EVENTS, Stream, helper};
use crate::flow::Pushed;
use crate::objects::headers::spellings;
use crate::objects::topics::{check_subscribed, topic_of};

const SUBSCRIBE: Signature<1> = Signature::all("subscribe", ["topic"]);
const UNSUBSCRIBE: Signature<1> = Signature::all("unsubscribe", ["topic"]);

impl Stream {
    /// Whether its content type is that of event streams.
    pub(super) fn says_events(&self, py: Attached<'_>) -> Result<bool, Raised> {
        let is_it = |text: &Object<Str>| {
            let text = text.view().to_string_lossy();
            let media = text.split(';').next().unwrap_or_default();
            media.trim_ascii().eq_ignore_ascii_case(EVENTS)
        };
        if let Some(text) = self.content_type.get(py) {
            return Ok(is_it(&text));
        }
        let Some(headers) = self.headers.get(py) else { return Ok(false) };
        for spelling in spellings(&headers, &*Str::intern(py, "Content-Type")?, py)? {
            if let Some(value) = headers.get(&spelling, py)?
                && value.cast::<Str>().is_some_and(is_it)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `subscribe(topic)`: what is published from now on is sent as events.
    pub(super) fn subscribe<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [topic] = given.parse(&SUBSCRIBE, py)?;
        let topic = topic_of(py, &topic.expect("it is required"))?;
        if !this.is_events.get() {
            return Err(Raised::value_error(py, "only event streams subscribe to topics"));
        }
        let subscribed = this.flow.subscribe(&topic, None);
        let gone = if this.flow.is_gone() { Pushed::Gone } else { Pushed::Ended };
        check_subscribed(py, subscribed, || this.refusal(py, gone))?;
        this.sent.get_or_make(py, || helper(py, "SENT"))
    }

    /// `unsubscribe(topic)`: the same in the other direction.
    pub(super) fn unsubscribe<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [topic] = given.parse(&UNSUBSCRIBE, py)?;
        this.flow.unsubscribe(&topic_of(py, &topic.expect("it is required"))?);
        this.sent.get_or_make(py, || helper(py, "SENT"))
    }
}
