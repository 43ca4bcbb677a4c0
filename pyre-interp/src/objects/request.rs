//! `PyreRequest`: read-only, and nothing of it is made before it is read. Hot path.

mod attributes; // what is read of it
mod body; // its body, read as text or JSON
mod conditions; // whether the client has the answer already
mod encoded; // its body, if the client has compressed that
mod forms; // forms in its body
mod pieces; // its body in pieces, as it comes

use std::cell::{Cell, OnceCell, Ref};
use std::ffi::CStr;
use std::sync::Arc;

use pyre_ffi::{
    Arguments, Attached, Bool, Borrowed, Class, ClassSpec, Instance, List, Owned, Raised, Str,
    Tuple, Visitor, none,
};

use crate::flow::Outflow;
use crate::invoke::application::Application;
use crate::job::{Call, Job};
use crate::objects::fields::Fields;
use crate::objects::request_id;
use crate::objects::source::{Source, call_of};
use crate::objects::toolkit::Toolkit;
use crate::worker::disconnects::Disconnects;

pub(crate) use encoded::Decoding;

/// A request, as handlers and hooks see it.
pub struct Request {
    app: Arc<Application>,
    tools: Arc<Toolkit>,
    disconnects: Arc<Disconnects>,
    /// Bodies are decoded that their clients have compressed, and may be so long then.
    decodes: Option<usize>,
    /// There is something to be done before a body is there as it is read.
    prepares_bodies: bool,
    source: Source,
    fields: Fields,
    /// Whether something may have been put into `fields`: `PARAMS`, `OTHERS`, both or neither.
    touched: Cell<u8>,
    /// Where the pieces of its answer go, once it is kept beside them.
    answer: OnceCell<Arc<Outflow>>,
}

/// The path parameters may have been made.
const PARAMS: u8 = 1;

/// Something else may have been.
const OTHERS: u8 = 2;

impl Request {
    /// A request object with nothing loaded.
    pub(crate) fn new<'py>(
        py: Attached<'py>,
        tools: &Arc<Toolkit>,
        app: &Arc<Application>,
        disconnects: &Arc<Disconnects>,
        decodes: Option<usize>,
    ) -> Result<Owned<'py, Instance<Request>>, Raised> {
        let value = Self {
            app: app.clone(),
            tools: tools.clone(),
            disconnects: disconnects.clone(),
            decodes,
            prepares_bodies: app.takes_bodies || decodes.is_some(),
            source: Source::empty(),
            fields: Fields::new(tools.watcher),
            touched: Cell::new(0),
            answer: OnceCell::new(),
        };
        Instance::new(py, &tools.request, value)
    }

    /// What is made of the request besides its parameters, to be forgotten with it.
    fn fields(&self) -> &Fields {
        self.touched.set(self.touched.get() | OTHERS);
        &self.fields
    }

    fn has_others(&self) -> bool {
        self.touched.get() & OTHERS != 0
    }

    /// Puts a job in; its current entry is the request.
    #[inline(always)]
    pub(crate) fn load(&self, job: Box<Job>) {
        self.source.load(job);
    }

    /// Whether a job is in, whose current entry is to be answered.
    pub(crate) fn is_loaded(&self) -> bool {
        self.source.is_loaded()
    }

    /// Takes what is to be done after the answer, if anything.
    pub(crate) fn take_tasks<'py>(&self, py: Attached<'py>) -> Option<Owned<'py, List>> {
        let tasks = if self.has_others() { self.fields.tasks.take(py) } else { None };
        if tasks.is_some() {
            self.is_headed(true);
        }
        tasks
    }

    /// Whether somebody has asked for the session.
    pub(crate) fn has_session(&self, py: Attached<'_>) -> bool {
        self.has_others() && self.fields.session.get(py).is_some()
    }

    /// The head of its answer is made; or not after all, as its body could not begin.
    pub(crate) fn is_headed(&self, is_headed: bool) {
        self.fields().is_headed.set(is_headed);
    }

    /// Takes the job out and forgets what was made of it.
    pub(crate) fn unload(&self, py: Attached<'_>) -> Box<Job> {
        if self.touched.get() != 0 {
            self.forget(py);
        }
        self.source.unload()
    }

    #[inline(never)]
    fn forget(&self, py: Attached<'_>) {
        let touched = self.touched.replace(0);
        if touched & PARAMS != 0 {
            self.fields.params.retire(py);
        }
        if touched & OTHERS != 0 {
            self.fields.clear_others(py);
        }
    }

    /// Takes the job out; the object, which somebody has kept, goes on with its own part.
    pub(crate) fn part(&self) -> Box<Job> {
        self.source.part()
    }

    /// Gives back the room that it does not need, once it is kept: it may be for long.
    pub(crate) fn slim(&self) {
        self.source.slim();
    }

    /// Reads job and call.
    pub(crate) fn with_call<R>(&self, read: impl FnOnce(&Job, &Call) -> R) -> R {
        let job = self.source.read().expect("a request has a job while its handler runs");
        read(&job, call_of(&job))
    }

    /// The request's id: made when first asked for, the same from then on.
    pub(crate) fn id<'py>(&self, py: Attached<'py>) -> Result<Owned<'py, Str>, Raised> {
        self.fields().id.get_or_make(py, || {
            if let Some(job) = self.source.read()
                && let Some(given) = job.id()
            {
                return Str::latin1(py, given);
            }
            Str::new(py, &request_id::next())
        })
    }

    /// The job, or the error that tells of a request object that was never served.
    fn job(&self, py: Attached<'_>) -> Result<Ref<'_, Job>, Raised> {
        self.source
            .read()
            .ok_or_else(|| Raised::runtime_error(py, "this request object belongs to no request"))
    }

    /// Its answer has begun and comes in pieces; somebody keeps the request meanwhile, and it is never
    /// another one's.
    pub(crate) fn is_answered_by(&self, flow: &Arc<Outflow>) {
        let _ = self.answer.set(flow.clone());
    }

    fn add_task<'py>(&self, py: Attached<'py>, given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let Some(function) = given.positional().first() else {
            return Err(Raised::type_error(py, "add_task() takes a function and its arguments"));
        };
        if !function.is_callable() {
            let text = format!("add_task() takes a function, not {}", function.type_name());
            return Err(Raised::type_error(py, &text));
        }
        // A request object that was kept is past its answer: nobody would run the task.
        if !self.source.is_loaded() {
            let text = "no task can follow: the request has been answered already, or is that of a \
                        WebSocket";
            return Err(Raised::runtime_error(py, text));
        }
        let (values, keywords) = given.behind(1).kept(py)?;
        let task = [Borrowed::to_owned(*function, py), values.into_any(), keywords.into_any()];
        let tasks = self.fields().tasks.get_or_make(py, || List::new(py))?;
        tasks.append(&*Tuple::new(py, task)?, py)?;
        Ok(none(py))
    }

    fn is_disconnected<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let gone = match self.answer.get() {
            Some(flow) => flow.is_gone(),
            None => self.disconnects.contains(self.job(py)?.reply_to),
        };
        Ok(Bool::new(py, gone).into_any())
    }

    fn repr<'py>(&self, py: Attached<'py>) -> Result<Owned<'py, Str>, Raised> {
        let Some(job) = self.source.read() else { return Str::new(py, "<PyreRequest>") };
        let request = &call_of(&job).request;
        let method = String::from_utf8_lossy(request.method_span.of(&job.bytes));
        let target = String::from_utf8_lossy(request.target.of(&job.bytes));
        Str::new(py, &format!("<PyreRequest {method} {target}>"))
    }
}
impl Class for Request {
    const NAME: &'static CStr = c"pyreframework.engine.PyreRequest";
    const DOC: &'static CStr =
        c"One HTTP request, read-only. Nothing of it is made before it is read.";

    fn describe(spec: &mut ClassSpec<Self>) {
        spec.gc()
            .getter(
                c"traceparent",
                c"The W3C traceparent header, or None if there is no valid one.",
                Self::traceparent,
            )
            .getter(c"method", c"The method as sent, such as 'GET'.", Self::method)
            .getter(c"path", c"The path as sent, percent-encoded, without the query.", Self::path)
            .getter(c"params", c"Path parameters by name, decoded and typed as in the pattern.", Self::params)
            .getter(c"query", c"The query as sent, without the question mark.", Self::query)
            .getter(
                c"query_params",
                c"Decoded query parameters; of a repeated one the last value.",
                Self::query_params,
            )
            .getter(
                c"query_params_all",
                c"Decoded query parameters, each with the list of its values.",
                Self::query_params_all,
            )
            .getter(
                c"headers",
                c"Headers by lower-case name; repeated ones are joined with ', '.",
                Self::headers,
            )
            .getter(c"cookies", c"Cookies by name.", Self::cookies)
            .getter(c"client_ip", c"Address of the peer, or None behind a Unix socket.", Self::client_ip)
            .getter(c"client", c"(address, port) of the peer, or None behind a Unix socket.", Self::client)
            .getter(c"scheme", c"'http' or 'https'.", Self::scheme)
            .getter(c"http_version", c"'1.0' or '1.1'.", Self::http_version)
            .getter(c"body", c"The body as bytes.", Self::body)
            .getter(c"state", c"A namespace for this request, shared by hooks and handler.", Self::state)
            .getter(
                c"session",
                c"The session of the client, a dict. RuntimeError if the app has no sessions.",
                Self::session,
            )
            .getter(
                c"csrf_token",
                c"A token for forms of the page that is made, kept in the session.",
                Self::csrf_token,
            )
            .getter(c"route", c"The pattern of the route, or None in a fallback.", Self::route)
            .getter(c"app", c"The app that serves the request.", Self::app)
            .getter(c"id", c"An id that no other request has.", Self::id_attribute)
            .getter(
                c"csp_nonce",
                c"What scripts bear that the policy of the answer lets run: made when first asked for.",
                Self::csp_nonce,
            )
            .method0(
                c"text",
                c"text($self, /)\n--\n\nThe body as text in strict UTF-8. Raises UnicodeDecodeError; \
                  uncaught, the client is answered 400.",
                Self::text,
            )
            .method0(
                c"json",
                c"json($self, /)\n--\n\nThe body parsed as JSON (RFC 8259). Raises ValueError; \
                  uncaught, the client is answered 400.",
                Self::json,
            )
            .bound_method(
                c"form",
                c"form($self, limits=None)\n--\n\nThe fields of a form; of a repeated one the last value. \
                  Raises FormError, a ValueError; uncaught, the client is answered 400 or 413.",
                Self::form,
            )
            .bound_method(
                c"form_all",
                c"form_all($self, limits=None)\n--\n\nThe fields of a form, each with the list of its values.",
                Self::form_all,
            )
            .bound_method(
                c"files",
                c"files($self, limits=None)\n--\n\nThe files of a form; of a repeated name the last one.",
                Self::files,
            )
            .bound_method(
                c"files_all",
                c"files_all($self, limits=None)\n--\n\nThe files of a form, each name with the list of them.",
                Self::files_all,
            )
            .bound_method(
                c"parts",
                c"parts($self, limits=None)\n--\n\nThe parts of a form as they come, for `for`, and in a \
                  coroutine for `async for`.",
                Self::parts,
            )
            .method(c"_form", c"What was made of the form.", Self::kept_form)
            .method0(c"_host", c"The host that the request is for.", Self::host)
            .method0(
                c"_forwarded_scheme",
                c"By what scheme the client has asked, as a proxy says.",
                Self::forwarded_scheme,
            )
            .method0(c"_is_whole", c"Whether all of the body is in memory.", Self::is_whole)
            .method(c"_piece_at", c"Some of a body that is in memory.", Self::piece_at)
            .method(c"_feed", c"Feed a parser with what has come.", Self::feed)
            .method(c"_spool", c"Have a part of a form written to disk.", Self::spool)
            .method(c"_expect", c"Say how much is worth waking for.", Self::expect)
            .method(c"_blame", c"The client is to blame for an exception.", Self::blame)
            .bound_method(
                c"stream",
                c"stream($self, /)\n--\n\nThe body in pieces, for `for`, and in a coroutine for `async for`. \
                  They come as the client sends them if the route has stream_body=True.",
                Self::stream,
            )
            .bound_method(
                c"read",
                c"read($self, n=-1)\n--\n\nSo many bytes of the body, fewer only at its end; await it in \
                  a coroutine. All if n is below 0.",
                Self::read,
            )
            .method0(c"_next_piece", c"Wait for the next piece of the body.", Self::next_piece)
            .method(c"_take", c"Take of the body what has come.", Self::take_piece)
            .method0(c"_gather", c"Keep all that has come of the body.", Self::gather_all)
            .method0(c"_wait", c"Wait for more of the body.", Self::wait_for_piece)
            .method0(c"_listen", c"Have the event loop told of more.", Self::listen)
            .method0(c"_ask", c"Be told of more.", Self::ask_for_piece)
            .method(
                c"header",
                c"header($self, name, default=None, /)\n--\n\nOne header, whatever the case of its name.",
                Self::header,
            )
            .method(
                c"param",
                c"param($self, name, default=None, /)\n--\n\nOne path parameter.",
                Self::param,
            )
            .method(
                c"query_param",
                c"query_param($self, name, default=None, /)\n--\n\nThe last value of one query parameter.",
                Self::query_param,
            )
            .method(
                c"add_task",
                c"add_task($self, function, /, *args, **keywords)\n--\n\nCall function(*args, **keywords) \
                  once the answer is on its way; it may be an async function.",
                Self::add_task,
            )
            .bound_method(
                c"is_fresh",
                c"is_fresh($self, *, etag=None, last_modified=None)\n--\n\nWhether the client has this version \
                  already, by If-None-Match or If-Modified-Since: the answer is 304 then.",
                Self::is_fresh,
            )
            .method(c"_has_version", c"What `is_fresh` asks.", Self::has_version)
            .method0(
                c"is_disconnected",
                c"is_disconnected($self, /)\n--\n\nWhether the client has closed its side of the connection while \
                  it was waiting for this answer, or was told that its time is over.",
                Self::is_disconnected,
            )
            .buffer_of(Self::body)
            .repr(Self::repr);
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.fields.traverse(visitor);
    }

    fn clear(&self, py: Attached<'_>) {
        self.fields.clear(py);
    }
}
