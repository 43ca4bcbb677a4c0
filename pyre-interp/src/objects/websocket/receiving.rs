//! Messages in: taken out of the inbox a batch at a time, given out one by one. Hot path.

use std::cell::Cell;
use std::ffi::CStr;

use pyre_ffi::{
    Arguments, Attached, Class, ClassSpec, ExceptionKind, Instance, Int, Object, Owned, Raised,
    Signature, Slot, Str, Tuple, Visitor, none,
};
use pyre_http::websocket::receive::Kind;

use super::arrival::Arrival;
use super::sending::{ended, object, thrown};
use super::{WebSocket, helper};
use crate::flow::Received;
use crate::objects::waits::require_seconds;

const RECV: Signature<1> = with_timeout("recv");
const RECV_BYTES: Signature<1> = with_timeout("recv_bytes");
const RECV_MESSAGE: Signature<1> = with_timeout("recv_message");

const fn with_timeout(function: &'static str) -> Signature<1> {
    Signature { function, names: ["timeout"], required: 0, positional_max: 1 }
}

/// The code for a message of a kind that is not taken (RFC 6455 section 7.4.1).
const UNSUPPORTED: u16 = 1003;

/// Messages that a coroutine gets without waiting before others on its event loop have a turn: the reactor
/// brings more while it is busy with these, so that it might never wait.
const MESSAGES_PER_TURN_MAX: u32 = 256;

/// What is received, and as what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Wanted {
    /// A text.
    Text,
    /// Bytes.
    Bytes,
    /// Kind and data.
    Message,
    /// Whatever comes, as what it is.
    Any,
}

impl Wanted {
    const ALL: [Self; 4] = [Self::Text, Self::Bytes, Self::Message, Self::Any];
}

/// What there is.
enum Next<'py> {
    Message(Owned<'py>),
    Nothing,
    End,
}

impl WebSocket {
    pub(super) fn recv<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        Self::receive(this, py, &given, &RECV, Wanted::Text)
    }

    pub(super) fn recv_bytes<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        Self::receive(this, py, &given, &RECV_BYTES, Wanted::Bytes)
    }

    pub(super) fn recv_message<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        Self::receive(this, py, &given, &RECV_MESSAGE, Wanted::Message)
    }

    fn receive<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: &Arguments<'_>,
        signature: &Signature<1>,
        wanted: Wanted,
    ) -> Result<Owned<'py>, Raised> {
        let [timeout] = given.parse(signature, py)?;
        let timeout = timeout.filter(|timeout| !timeout.is_none());
        require_seconds(timeout.as_deref(), py)?;
        this.begin(py)?;
        if this.is_on_loop(py)? {
            let receiving = Receiving::of(this, py, wanted)?;
            return match timeout {
                None => Ok(receiving),
                Some(timeout) => helper(py, "within")?.call2(&receiving, &*timeout, py),
            };
        }
        match this.next_message(py, wanted)? {
            Next::Message(message) => Ok(message),
            Next::End => Ok(none(py)),
            Next::Nothing => {
                let timeout = timeout.map_or_else(|| none(py), |timeout| timeout.to_owned(py));
                Self::wait_here(this, py, wanted, timeout)
            }
        }
    }

    /// Waits on a thread that has no event loop.
    fn wait_here<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        wanted: Wanted,
        timeout: Owned<'py>,
    ) -> Result<Owned<'py>, Raised> {
        let wanted = Int::new(py, wanted as i64)?.into_any();
        let arguments = [this.as_any().to_owned(py), wanted, timeout];
        helper(py, "receive_later")?.call(Owned::borrow_all(&arguments), py)
    }

    /// `next(ws)`: the next message, whatever its kind.
    pub(super) fn next<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
    ) -> Result<Option<Owned<'py>>, Raised> {
        this.begin(py)?;
        match this.next_message(py, Wanted::Any)? {
            Next::Message(message) => return Ok(Some(message)),
            Next::End => return Ok(None),
            Next::Nothing => {}
        }
        if this.is_on_loop(py)? {
            let text = "a loop over a WebSocket blocks the event loop: use `async for`";
            return Err(Raised::runtime_error(py, text));
        }
        let message = Self::wait_here(this, py, Wanted::Any, none(py))?;
        Ok((!message.is_none()).then_some(message))
    }

    /// `anext(ws)`.
    pub(super) fn async_next<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
    ) -> Result<Owned<'py>, Raised> {
        this.begin(py)?;
        Receiving::of(this, py, Wanted::Any)
    }

    /// `_take(wanted)`: the next message in a tuple; an empty one at the end; None if there is nothing.
    pub(super) fn take_now<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [wanted] = given.parse(&Signature::all("_take", ["wanted"]), py)?;
        let number = wanted.expect("it is required").cast::<Int>().and_then(|it| it.as_i64());
        let index = number.and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX);
        let wanted = Wanted::ALL.get(index).copied().unwrap_or(Wanted::Any);
        match self.next_message(py, wanted)? {
            Next::Message(message) => Tuple::new(py, [message]).map(Owned::into_any),
            Next::End => Tuple::new(py, []).map(Owned::into_any),
            Next::Nothing => Ok(none(py)),
        }
    }

    /// The next message, if there is one.
    #[inline]
    fn next_message<'py>(&self, py: Attached<'py>, wanted: Wanted) -> Result<Next<'py>, Raised> {
        if self.is_over.get() {
            return Ok(Next::End);
        }
        let mut batch = self.batch.borrow_mut();
        if batch.is_empty() {
            match self.inbox.take(&mut batch) {
                Received::Messages => {}
                Received::Nothing => return Ok(Next::Nothing),
                Received::End => {
                    self.answer_close();
                    return Ok(Next::End);
                }
            }
        }
        let (kind, data) = batch.take().expect("it is not empty");
        let is_fit = match wanted {
            Wanted::Text => kind == Kind::Text,
            Wanted::Bytes => kind == Kind::Binary,
            Wanted::Message | Wanted::Any => true,
        };
        if !is_fit {
            drop(batch);
            let text = if kind == Kind::Binary { "text is expected" } else { "bytes are expected" };
            self.end_with(UNSUPPORTED, text.to_owned());
            return Ok(Next::End);
        }
        let message = object(py, kind, data)?;
        drop(batch);
        if wanted != Wanted::Message {
            return Ok(Next::Message(message));
        }
        let name = Str::intern(py, if kind == Kind::Text { "text" } else { "binary" })?;
        Tuple::new(py, [name.into_any(), message]).map(|pair| Next::Message(pair.into_any()))
    }
}

/// The next message, to be awaited. It is a coroutine in all that counts for asyncio, so that a task can
/// be made of it.
pub struct Receiving {
    socket: Slot<Instance<WebSocket>>,
    wanted: Cell<Wanted>,
}

impl Receiving {
    fn of<'py>(
        socket: &Object<Instance<WebSocket>>,
        py: Attached<'py>,
        wanted: Wanted,
    ) -> Result<Owned<'py>, Raised> {
        let owned = socket.to_owned(py);
        let value = Self { socket: Slot::new(py, owned), wanted: Cell::new(wanted) };
        Instance::new(py, &socket.tools.receiving, value).map(Owned::into_any)
    }

    fn itself<'py>(this: &Object<Instance<Self>>, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(this.as_any().to_owned(py))
    }

    /// What is to be waited for, as nothing has come; nothing if something has meanwhile. In this order:
    /// whoever is told of a message finds who waits for it.
    fn wait<'py>(
        socket: &Object<Instance<WebSocket>>,
        py: Attached<'py>,
    ) -> Result<Option<Owned<'py>>, Raised> {
        let is_home = match socket.app.home.get() {
            Some(home) => home.is_here(py)? == Some(true),
            None => false,
        };
        if is_home && let Some(number) = socket.message_number() {
            let arrival = Arrival::new(py, &socket.app, &socket.tools, number)?;
            if socket.inbox.ask() {
                return Ok(Some(arrival.into_any()));
            }
            arrival.drop_unused();
            return Ok(None);
        }
        // Nobody could wake this loop.
        helper(py, "message_future")?.call1(socket, py).map(Some)
    }

    /// A step: ends with the message, or yields what is to be waited for.
    fn next<'py>(&self, py: Attached<'py>) -> Result<Option<Owned<'py>>, Raised> {
        let Some(socket) = self.socket.get(py) else {
            let text = "a message is awaited once: call the method again for the next one";
            return Err(Raised::runtime_error(py, text));
        };
        let wanted = self.wanted.get();
        if socket.at_once.get() >= MESSAGES_PER_TURN_MAX {
            socket.at_once.set(0);
            // To asyncio that says: go on in the next iteration.
            return Ok(Some(none(py)));
        }
        loop {
            match socket.next_message(py, wanted)? {
                Next::Message(message) => {
                    socket.at_once.set(socket.at_once.get() + 1);
                    self.socket.clear(py);
                    return Err(stop(py, message)?);
                }
                Next::End => {
                    self.socket.clear(py);
                    if wanted == Wanted::Any {
                        return Err(Raised::new(py, ExceptionKind::StopAsyncIteration, ""));
                    }
                    // None.
                    return Ok(None);
                }
                Next::Nothing => {}
            }
            if let Some(future) = Self::wait(&socket, py)? {
                socket.at_once.set(0);
                return Ok(Some(future));
            }
        }
    }

    fn send<'py>(&self, py: Attached<'py>, _given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let yielded = self.next(py)?;
        yielded.ok_or_else(|| ended(py))
    }

    fn throw<'py>(&self, py: Attached<'py>, given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        self.socket.clear(py);
        Err(thrown(py, &given))
    }

    fn close<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.socket.clear(py);
        Ok(none(py))
    }
}

/// The exception that carries the value of what was awaited.
fn stop(py: Attached<'_>, value: Owned<'_>) -> Result<Raised, Raised> {
    let class = ExceptionKind::StopIteration.object(py);
    if !value.is_a::<Tuple>() {
        return Ok(Raised::with(py, &class, &value));
    }
    // A tuple would be taken for the arguments of the exception.
    let exception = class.call1(&value, py)?;
    Ok(Raised::with(py, &class, &exception))
}

impl Class for Receiving {
    const NAME: &'static CStr = c"pyreframework.engine.Receiving";
    const DOC: &'static CStr = c"The next message, to be awaited.";

    fn describe(spec: &mut ClassSpec<Self>) {
        spec.gc()
            .next(Self::next)
            .awaits(Self::itself)
            .method(c"send", c"A step without an exception.", Self::send)
            .method(c"throw", c"A step with an exception.", Self::throw)
            .method0(c"close", c"Nobody waits any more.", Self::close);
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.socket);
    }

    fn clear(&self, py: Attached<'_>) {
        self.socket.clear(py);
    }
}
