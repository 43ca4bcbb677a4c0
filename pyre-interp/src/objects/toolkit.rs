//! What all lanes of one interpreter work with: its classes, and the caches of its codecs.

use pyre_ffi::{
    Attached, ClassHandle, DictWatcher, ExceptionKind, Guarded, Held, ModuleBuilder, Raised, Str,
    Type, Visitor, import,
};

use crate::event_loop::RequestCoroutine;

use crate::objects::fields::cookie_text;
use crate::objects::file::FileBody;
use crate::objects::forms::{FormParser, FormSpool, form_pairs};
use crate::objects::headers::ResponseHeaders;
use crate::objects::request::Request;
use crate::objects::response::Response;
use crate::objects::stream::Stream;
use crate::objects::websocket::arrival::{Arrival, Arrivals};
use crate::objects::websocket::{Receiving, Sent, WebSocket};
use crate::serialize::json::{EncodeCache, KeyCache};

/// Classes and caches of one interpreter; kept in the module's state.
pub struct Toolkit {
    /// `PyreRequest`.
    pub request: ClassHandle<Request>,
    /// `FormParser`.
    pub(crate) form_parser: ClassHandle<FormParser>,
    /// `FormSpool`.
    pub(crate) form_spool: ClassHandle<FormSpool>,
    /// `PyreResponse`.
    pub response: ClassHandle<Response>,
    /// What `send_file` makes the body of.
    pub file: ClassHandle<FileBody>,
    /// `PyreStream`.
    pub stream: ClassHandle<Stream>,
    /// `PyreWebSocket`.
    pub websocket: ClassHandle<WebSocket>,
    /// What its methods return in a coroutine.
    pub(crate) receiving: ClassHandle<Receiving>,
    pub(crate) sent: ClassHandle<Sent>,
    pub(crate) arrival: ClassHandle<Arrival>,
    /// Coroutines that wait for messages.
    pub(crate) arrivals: Arrivals,
    /// What tasks see of a request.
    pub(crate) coroutine: ClassHandle<RequestCoroutine>,
    /// `RequestTimeout`, raised in a handler that takes too long.
    pub overrun: Held<Type>,
    /// `ResponseHeaders`, which responses look up in the module.
    pub(crate) headers: ClassHandle<ResponseHeaders>,
    /// What the JSON encoder knows of types it has met.
    pub(crate) encode_cache: EncodeCache,
    /// Names the JSON decoder has met.
    pub(crate) keys: Guarded<KeyCache>,
    /// Tells whether the dict of a request's parameters has been changed; `None` if the interpreter has
    /// no room for another watcher.
    pub(crate) watcher: Option<DictWatcher>,
}

impl Toolkit {
    /// Makes the classes and adds them to the module.
    ///
    /// # Errors
    /// Whatever Python raises on the way.
    pub fn new(module: &ModuleBuilder<'_>, py: Attached<'_>) -> Result<Self, Raised> {
        let headers = module.class::<ResponseHeaders>()?;
        // So that `isinstance(resp.headers, Mapping)` holds. Python has loaded the module by itself.
        let mapping =
            import(py, "_collections_abc")?.attr(&*Str::new(py, "MutableMapping")?, py)?;
        mapping.call_method1(&*Str::new(py, "register")?, &headers.object(py), py)?;
        module.function(
            c"cookie_text",
            c"cookie_text(data)\n--\n\nThe text of a cookie's name or value: UTF-8, or else Latin-1.",
            cookie_text,
        )?;
        module.function(
            c"form_pairs",
            c"form_pairs(data, pairs_max, name_bytes_max, value_bytes_max)\n--\n\n\
              The pairs of a URL-encoded form.",
            form_pairs,
        )?;
        let overrun = module.exception(
            c"pyreframework.engine.RequestTimeout",
            c"Raised inside a handler that takes longer than its request_timeout.",
            &ExceptionKind::BaseException.object(py),
        )?;
        Ok(Self {
            headers,
            request: module.class::<Request>()?,
            form_parser: module.class::<FormParser>()?,
            form_spool: module.class::<FormSpool>()?,
            response: module.class::<Response>()?,
            file: module.class::<FileBody>()?,
            stream: module.class::<Stream>()?,
            websocket: module.class::<WebSocket>()?,
            receiving: module.class::<Receiving>()?,
            sent: module.class::<Sent>()?,
            arrival: module.class::<Arrival>()?,
            arrivals: Arrivals::new(py),
            coroutine: module.class::<RequestCoroutine>()?,
            overrun: Held::new(py, overrun),
            encode_cache: EncodeCache::new(py)?,
            keys: Guarded::new(py, KeyCache::new()),
            watcher: DictWatcher::new(py)?,
        })
    }

    /// Shows the classes to the garbage collector.
    pub fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.request.visit(visitor);
        self.form_parser.visit(visitor);
        self.form_spool.visit(visitor);
        self.response.visit(visitor);
        self.file.visit(visitor);
        self.stream.visit(visitor);
        self.websocket.visit(visitor);
        self.receiving.visit(visitor);
        self.sent.visit(visitor);
        self.arrival.visit(visitor);
        self.coroutine.visit(visitor);
        visitor.held(&self.overrun);
        self.headers.visit(visitor);
    }
}
