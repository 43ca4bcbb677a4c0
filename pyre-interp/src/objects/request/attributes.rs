//! What handlers and hooks read of a request besides its body: attributes, and look-ups by name. Hot path.

use pyre_ffi::{
    Arguments, Attached, Bool, Borrowed, Dict, Int, Owned, Raised, Signature, Str, Tuple, import,
    none,
};
use pyre_http::correlation::is_traceparent;
use pyre_http::forwarded;
use pyre_http::span::Span;

use super::{PARAMS, Request};
use crate::invoke::arguments::{self, PathEntries};
use crate::job::{Call, Client};
use crate::objects::source::call_of;
use crate::objects::{fields, nonce};

const HEADER: Signature<2> = lookup("header");
const PARAM: Signature<2> = lookup("param");
const QUERY_PARAM: Signature<2> = lookup("query_param");

/// `function(name, default=None)`.
const fn lookup(function: &'static str) -> Signature<2> {
    Signature { function, names: ["name", "default"], required: 1, positional_max: 2 }
}

impl Request {
    /// A piece of the request as text; everything but the body is below U+0100.
    fn piece<'py>(
        &self,
        py: Attached<'py>,
        span: impl FnOnce(&Call) -> Span,
    ) -> Result<Owned<'py>, Raised> {
        let job = self.job(py)?;
        let span = span(call_of(&job));
        Str::latin1(py, span.of(&job.bytes)).map(Owned::into_any)
    }

    pub(super) fn method<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.piece(py, |call| call.request.method_span)
    }

    pub(super) fn path<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.piece(py, |call| call.request.path)
    }

    pub(super) fn query<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.piece(py, |call| call.request.query)
    }

    pub(super) fn http_version<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let version = call_of(&*self.job(py)?).request.version;
        Str::intern(py, version.as_str()).map(Owned::into_any)
    }

    pub(super) fn scheme<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Str::intern(py, "http").map(Owned::into_any)
    }

    /// `_host()`: the host that the request is for, and its port if it says one (RFC 9112 section 3.2.2).
    pub(super) fn host<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.piece(py, |call| call.request.host)
    }

    /// `_forwarded_scheme()`: by what scheme the client has asked, as the first proxy says; empty if none does.
    pub(super) fn forwarded_scheme<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let job = self.job(py)?;
        let scheme = forwarded::scheme(fields::header_table(&job), &job.bytes).unwrap_or_default();
        Str::latin1(py, &scheme.to_ascii_lowercase()).map(Owned::into_any)
    }

    pub(super) fn params<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        match self.made_params(py) {
            Some(params) => Ok(params.into_any()),
            None => self.make_params(py).map(Owned::into_any),
        }
    }

    /// The parameters of the request that is loaded, if they have been asked for.
    fn made_params<'py>(&self, py: Attached<'py>) -> Option<Owned<'py, Dict>> {
        if self.touched.get() & PARAMS != 0 { self.fields.params.get(py) } else { None }
    }

    fn make_params<'py>(&self, py: Attached<'py>) -> Result<Owned<'py, Dict>, Raised> {
        let job = self.job(py)?;
        let call = call_of(&job);
        let parameters = &self.app.handler(call.target).parameters;
        let spans = arguments::raw_parameters(&job, call.params);
        let params = &self.fields.params;
        let (made, before) = if arguments::runs_python(parameters) {
            // Meanwhile the lane may take the job back, if this is another thread.
            let texts = arguments::raw_texts(&job, call);
            drop(job);
            let made = arguments::dict(py, |index| &texts[index], parameters)?;
            if let Some(earlier) = self.made_params(py) {
                return Ok(earlier);
            }
            params.set(py, made.clone());
            (made, None)
        } else {
            let filled = params.fill(py, &PathEntries { job: &job, spans, parameters })?;
            drop(job);
            filled
        };
        self.touched.set(self.touched.get() | PARAMS);
        drop(before);
        Ok(made)
    }

    pub(super) fn query_params<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let made = self.fields().query_params.get_or_make(py, || {
            let job = self.job(py)?;
            fields::last_values(py, call_of(&job).request.query.of(&job.bytes))
        });
        made.map(Owned::into_any)
    }

    pub(super) fn query_params_all<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let made = self.fields().query_params_all.get_or_make(py, || {
            let job = self.job(py)?;
            fields::all_values(py, call_of(&job).request.query.of(&job.bytes))
        });
        made.map(Owned::into_any)
    }

    pub(super) fn headers<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let job = || self.job(py);
        self.fields().headers.get_or_make(py, || fields::headers(py, &*job()?)).map(Owned::into_any)
    }

    pub(super) fn cookies<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let job = || self.job(py);
        self.fields().cookies.get_or_make(py, || fields::cookies(py, &*job()?)).map(Owned::into_any)
    }

    pub(super) fn client_ip<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        match self.source.client() {
            Client::Tcp(address) => {
                Str::new(py, &address.ip().to_canonical().to_string()).map(Owned::into_any)
            }
            Client::Local => Ok(none(py)),
        }
    }

    pub(super) fn client<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        match self.source.client() {
            Client::Tcp(address) => {
                let ip = Str::new(py, &address.ip().to_canonical().to_string())?;
                let port = Int::new(py, address.port().into())?;
                Tuple::new(py, [ip.into_any(), port.into_any()]).map(Owned::into_any)
            }
            Client::Local => Ok(none(py)),
        }
    }

    pub(super) fn state<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.fields().state.get_or_make(py, || fields::namespace(py))
    }

    pub(super) fn id_attribute<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.id(py).map(Owned::into_any)
    }

    pub(super) fn csp_nonce<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.job(py)?;
        let nonce = self.fields().csp_nonce.get_or_make(py, || {
            let made = self.source.change(|job| {
                if job.nonce().is_none() {
                    job.give_nonce(nonce::made()?);
                }
                job.nonce().copied()
            });
            let error = || Raised::runtime_error(py, "the system gives no random numbers");
            Str::latin1(py, &made.ok_or_else(error)?)
        });
        nonce.map(Owned::into_any)
    }

    pub(super) fn traceparent<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let job = self.job(py)?;
        let table = fields::header_table(&job);
        match pyre_http::header::find_only(table, &job.bytes, b"traceparent") {
            Some(value) if is_traceparent(value.of(&job.bytes)) => {
                Str::latin1(py, value.of(&job.bytes)).map(Owned::into_any)
            }
            _ => Ok(none(py)),
        }
    }

    pub(super) fn route<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let target = call_of(&*self.job(py)?).target;
        Ok(match &self.app.handler(target).pattern {
            Some(pattern) => pattern.to_owned(py).into_any(),
            None => none(py),
        })
    }

    pub(super) fn app<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(self.app.owner.as_ref().map_or_else(|| none(py), |owner| owner.to_owned(py)))
    }

    /// The session of the client, opened when it is first asked for.
    pub(super) fn session<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let Some(sessions) = &self.app.sessions else {
            let text =
                "this app has no sessions: call app.sessions(secret=...) where its routes are made";
            return Err(Raised::runtime_error(py, text));
        };
        self.fields().session.get_or_make(py, || {
            let cookies = self.cookies(py)?;
            let is_late = Bool::new(py, self.fields().is_headed.get());
            let open = Str::intern(py, "open")?;
            sessions.bind(py).call_method2(&open, &*cookies, &*is_late, py)
        })
    }

    /// A token of this request for forms of its page, made anew each time.
    pub(super) fn csrf_token<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let session = self.session(py)?;
        import(py, "pyreframework.csrf")?
            .attr(&*Str::intern(py, "token")?, py)?
            .call1(&*session, py)
    }

    pub(super) fn header<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [name, default] = given.parse(&HEADER, py)?;
        let name = text_argument(py, "header", name)?;
        let found = fields::header(py, &*self.job(py)?, name.as_utf8(py)?.as_bytes())?;
        Ok(found.map_or_else(|| or_none(py, default), Owned::into_any))
    }

    pub(super) fn param<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [name, default] = given.parse(&PARAM, py)?;
        let name = text_argument(py, "param", name)?;
        let params = self.params(py)?;
        let params = params.cast::<pyre_ffi::Dict>().expect("params are a dict");
        Ok(params.get(&name, py)?.unwrap_or_else(|| or_none(py, default)))
    }

    pub(super) fn query_param<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [name, default] = given.parse(&QUERY_PARAM, py)?;
        let name = text_argument(py, "query_param", name)?;
        let name = name.as_utf8(py)?;
        let job = self.job(py)?;
        let query = call_of(&job).request.query.of(&job.bytes);
        let found = fields::query_value(py, query, name)?;
        Ok(found.map_or_else(|| or_none(py, default), Owned::into_any))
    }
}

fn text_argument<'a>(
    py: Attached<'_>,
    function: &str,
    name: Option<Borrowed<'a>>,
) -> Result<Borrowed<'a, Str>, Raised> {
    let name = name.expect("the signature requires it");
    name.into_cast::<Str>().ok_or_else(|| {
        let text = format!("{function}() takes the name as a str, not {}", name.type_name());
        Raised::type_error(py, &text)
    })
}

fn or_none<'py>(py: Attached<'py>, default: Option<Borrowed<'_>>) -> Owned<'py> {
    default.map_or_else(|| none(py), |default| default.to_owned(py))
}
