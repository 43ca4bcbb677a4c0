//! Publishing, and the names of topics, as programs give them.

use std::sync::Arc;
use std::time::Duration;

use pyre_ffi::{
    Arguments, Attached, Borrowed, ExceptionKind, Object, Owned, Raised, Signature, Str, import,
    none,
};
use pyre_http::websocket::receive::Kind;

use crate::flow::Subscribed;
use crate::flow::topics::{
    Message, PUBLISHED_BYTES_MAX, Publication, TOPIC_BYTES_MAX, TOPICS_PER_CONNECTION_MAX, Topics,
};
use crate::objects::stream::given::{field, seconds_of, with_bytes};
use crate::objects::toolkit::Toolkit;
use crate::serialize::json;

/// Others may run while a longer message is encoded.
const DETACHED_BYTES_MIN: usize = 16 * 1024;

const PUBLISH: Signature<6> = Signature {
    function: "publish",
    names: ["app", "topic", "data", "event", "id", "timeout"],
    required: 3,
    positional_max: 6,
};

/// The name of a topic.
///
/// # Errors
/// `TypeError` if it is no str, `ValueError` if it is empty, too long, or no text.
pub(super) fn topic_of(py: Attached<'_>, given: &Object) -> Result<String, Raised> {
    let Some(text) = given.cast::<Str>() else {
        let text = format!("topic must be a str, not {}", given.type_name());
        return Err(Raised::type_error(py, &text));
    };
    let name = text.as_utf8(py)?;
    if name.is_empty() || name.len() > TOPIC_BYTES_MAX {
        let text = format!("the name of a topic has 1 to {TOPIC_BYTES_MAX} bytes in UTF-8");
        return Err(Raised::value_error(py, &text));
    }
    Ok(name.to_owned())
}

/// What raises if a connection cannot subscribe.
///
/// # Errors
/// `RuntimeError` if it has too many topics, or what `refusal` says if nothing can be sent any more.
pub(super) fn check_subscribed(
    py: Attached<'_>,
    subscribed: Subscribed,
    refusal: impl FnOnce() -> Raised,
) -> Result<(), Raised> {
    match subscribed {
        Subscribed::Yes => Ok(()),
        Subscribed::TooMany => {
            let text =
                format!("a connection subscribes to at most {TOPICS_PER_CONNECTION_MAX} topics");
            Err(Raised::runtime_error(py, &text))
        }
        Subscribed::Encoded => {
            let text = "this stream is compressed already: subscribe before you return it, or leave its \
                        type out of enable_compression(types=...)";
            Err(Raised::runtime_error(py, text))
        }
        Subscribed::Over | Subscribed::Gone => Err(refusal()),
    }
}

/// What is asked to be published, and where.
pub struct Asked<'a> {
    app: Borrowed<'a>,
    topic: String,
    data: Borrowed<'a>,
    event: Option<String>,
    id: Option<String>,
    patience: Option<f64>,
}

impl<'a> Asked<'a> {
    /// Reads `publish(app, topic, data, event=None, id=None, timeout=None)`.
    ///
    /// # Errors
    /// For what cannot be published.
    pub fn read(py: Attached<'_>, given: &Arguments<'a>) -> Result<Self, Raised> {
        let [app, topic, data, event, id, timeout] = given.parse(&PUBLISH, py)?;
        let (Some(app), Some(topic), Some(data)) = (app, topic, data) else {
            return Err(Raised::type_error(py, "publish() takes app, topic and data"));
        };
        let patience = match &timeout {
            Some(timeout) => seconds_of(timeout, "timeout", py)?,
            None => None,
        };
        let topic = topic_of(py, &topic)?;
        let event = field(py, "event", event.as_deref())?;
        let id = field(py, "id", id.as_deref())?;
        Ok(Self { app, topic, data, event, id, patience })
    }

    /// The native part of the app that publishes it.
    #[must_use]
    pub fn app(&self) -> &Object {
        &self.app
    }

    /// Publishes it under these topics, which an app has that is served.
    ///
    /// # Errors
    /// For what cannot be published; `BlockingIOError` or `TimeoutError` if there is no room.
    pub fn publish<'py>(
        self,
        py: Attached<'py>,
        tools: &Toolkit,
        json_default: Option<&Object>,
        topics: Option<Arc<Topics>>,
    ) -> Result<Owned<'py>, Raised> {
        let Self { topic, data, event, id, patience, .. } = self;
        let (kind, bytes) = encoded(py, tools, json_default, &data)?;
        let message = Message::new(&topic, kind, bytes, event, id)
            .map_err(|invalid| Raised::value_error(py, &invalid.to_string()))?;
        let Some(topics) = topics else { return Ok(none(py)) };
        if !message.is_text() && topics.has_streams(message.topic()) {
            let text = format!(
                "event streams have subscribed to '{topic}', and take texts only: these bytes are not \
                 UTF-8"
            );
            return Err(Raised::value_error(py, &text));
        }
        let published = if message.bytes() < DETACHED_BYTES_MIN {
            topics.publish(topics.encode(message), Duration::ZERO)
        } else {
            py.detach(|| topics.publish(topics.encode(message), Duration::ZERO))
        };
        match published {
            Ok(()) => Ok(none(py)),
            Err(left) => publish_later(py, &topics, left, patience).map(|()| none(py)),
        }
    }
}

/// What is published: a text, bytes, or a value as JSON.
fn encoded(
    py: Attached<'_>,
    tools: &Toolkit,
    json_default: Option<&Object>,
    data: &Object,
) -> Result<(Kind, Vec<u8>), Raised> {
    if data.is_a::<Str>() {
        return Ok((Kind::Text, with_bytes(py, data, "publish()", <[u8]>::to_vec)?));
    }
    if data.has_buffer() {
        return Ok((Kind::Binary, with_bytes(py, data, "publish()", <[u8]>::to_vec)?));
    }
    let mut text = Vec::new();
    json::encode(py, data, &mut text, &tools.encode_cache, json_default)?;
    Ok((Kind::Text, text))
}

/// Waits for room, on a thread that may.
#[cold]
fn publish_later(
    py: Attached<'_>,
    topics: &Arc<Topics>,
    publication: Box<Publication>,
    patience: Option<f64>,
) -> Result<(), Raised> {
    let running = import(py, "pyreframework.handlers.event_loop")?
        .call_method0(&*Str::intern(py, "running_loop")?, py)?;
    if !running.is_none() {
        let text = format!(
            "{PUBLISHED_BYTES_MAX} bytes are published that have not reached all subscribers yet, and \
             an event loop is not to wait for them: await asyncio.to_thread(app.publish, ...)"
        );
        return Err(Raised::new(py, ExceptionKind::BlockingIOError, &text));
    }
    let span = patience.map_or(Ok(Duration::MAX), Duration::try_from_secs_f64);
    let span = span.unwrap_or(Duration::MAX);
    py.detach(|| topics.publish(publication, span)).map_err(|_left| {
        Raised::new(py, ExceptionKind::TimeoutError, "there was no room for what is published")
    })
}
