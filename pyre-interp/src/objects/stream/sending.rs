//! Sending a piece, and what becomes of it if there is no room.

use pyre_ffi::{
    Arguments, Attached, Bool, Bytes, ExceptionKind, Instance, Int, Object, Owned, Raised,
    Signature, Str, none,
};
use pyre_http::event_stream::Event;

use super::given::{field, seconds_of, with_bytes};
use super::{Stream, helper};
use crate::flow::{Pushed, Room};
use crate::objects::waits::{number, send_later, span_of};

const SEND: Signature<2> =
    Signature { function: "send", names: ["data", "timeout"], required: 1, positional_max: 2 };

const SEND_EVENT: Signature<5> = Signature {
    function: "send_event",
    names: ["data", "event", "id", "retry", "timeout"],
    required: 1,
    positional_max: 4,
};

impl Stream {
    pub(super) fn send<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [data, timeout] = given.parse(&SEND, py)?;
        let data = data.expect("it is required");
        if let Some(timeout) = &timeout {
            seconds_of(timeout, "timeout", py)?;
        }
        let pushed = with_bytes(py, &data, "a stream", |bytes| this.push_bytes(py, bytes))?;
        Self::sent(this, py, pushed, &data, timeout.as_deref())
    }

    pub(super) fn send_event<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [data, event, id, retry, timeout] = given.parse(&SEND_EVENT, py)?;
        let data = data.expect("it is required");
        if let Some(timeout) = &timeout {
            seconds_of(timeout, "timeout", py)?;
        }
        let Some(text) = data.cast::<Str>() else {
            let text = format!(
                "the data of an event is a str, not {}: json.dumps() makes one of other values",
                data.type_name()
            );
            return Err(Raised::type_error(py, &text));
        };
        let event = field(py, "event", event.as_deref())?;
        let id = field(py, "id", id.as_deref())?;
        let retry_ms = match retry.filter(|retry| !retry.is_none()) {
            None => None,
            Some(retry) => {
                let number = retry.cast::<Int>().and_then(|number| number.as_i64());
                let number = number.and_then(|number| u64::try_from(number).ok());
                Some(number.ok_or_else(|| {
                    Raised::type_error(py, "retry must be an int of milliseconds, 0 or more")
                })?)
            }
        };
        let data_text = text.view().to_string_lossy();
        let mut bytes = Vec::with_capacity(data_text.len() + 32);
        let event = Event { data: &data_text, kind: event.as_deref(), id: id.as_deref(), retry_ms };
        event.write(&mut bytes).map_err(|invalid| Raised::value_error(py, &invalid.to_string()))?;
        let pushed = this.push_bytes(py, &bytes);
        if matches!(pushed, Pushed::Taken) {
            return Self::sent(this, py, pushed, &data, None);
        }
        let whole = Bytes::new(py, &bytes)?.into_any();
        Self::sent(this, py, pushed, &whole, timeout.as_deref())
    }

    /// Leaves a piece in the flow. Others run while it is compressed, if it is.
    fn push_bytes(&self, py: Attached<'_>, bytes: &[u8]) -> Pushed {
        if self.flow.is_encoded() {
            let flow = &*self.flow;
            return py.detach(|| flow.push(bytes));
        }
        self.flow.push(bytes)
    }

    /// What `send` returns, or does when it has to wait.
    fn sent<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        pushed: Pushed,
        data: &Object,
        timeout: Option<&Object>,
    ) -> Result<Owned<'py>, Raised> {
        match pushed {
            Pushed::Taken => this.sent.get_or_make(py, || helper(py, "SENT")),
            Pushed::Full => send_later(py, this.as_any(), data, timeout),
            Pushed::TooMuch | Pushed::Ended | Pushed::Gone => Err(this.refusal(py, pushed)),
        }
    }

    /// The exception for a piece that cannot be sent.
    #[cold]
    pub(super) fn refusal(&self, py: Attached<'_>, pushed: Pushed) -> Raised {
        match pushed {
            Pushed::TooMuch => {
                let length = self.length.get().unwrap_or_default();
                let text = format!(
                    "more than the {length} bytes that Content-Length says: the answer ends"
                );
                Raised::value_error(py, &text)
            }
            Pushed::Ended => Raised::value_error(py, "the stream is closed"),
            _ => Raised::new(py, ExceptionKind::ConnectionError, "the client has gone"),
        }
    }

    /// `_push(data)`: sends a piece if there is room, and tells whether there was.
    pub(super) fn push<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [data] = given.parse(&Signature::all("_push", ["data"]), py)?;
        let data = data.expect("it is required");
        match with_bytes(py, &data, "a stream", |bytes| self.push_bytes(py, bytes))? {
            Pushed::Taken => Ok(Bool::new(py, true).into_any()),
            Pushed::Full => Ok(Bool::new(py, false).into_any()),
            pushed => Err(self.refusal(py, pushed)),
        }
    }

    /// `_wait(seconds)`: whether there is room; waits for it on a thread that has no event loop.
    pub(super) fn wait<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let span = span_of(py, &given, "_wait")?;
        let flow = self.flow.clone();
        let room = py.detach(move || flow.wait(span));
        match room {
            Room::Gone => Err(self.refusal(py, Pushed::Gone)),
            room => Ok(Bool::new(py, room == Room::Some).into_any()),
        }
    }

    /// `_listen()`: has the event loop told when there is room, and when the client goes. Returns what it
    /// is told, or None if there is no event loop, or no client yet.
    pub(super) fn listen<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let number = number(&self.number, self.wakes.get(), 0, |it| self.flow.set_waker(it));
        number.map_or_else(|| Ok(none(py)), |it| Ok(Int::from_u64(py, it)?.into_any()))
    }

    /// `_ask_for_room()`: whether there is none, so that the loop is told when there is.
    pub(super) fn ask_for_room<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(Bool::new(py, self.flow.ask_for_room()).into_any())
    }
}
