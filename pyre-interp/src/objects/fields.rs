//! The mappings of a request, made when first asked for and the same object from then on.

use std::cell::{Cell, RefCell};

use pyre_ffi::module::ModuleObject;
use pyre_ffi::{
    Arguments, Attached, Bytes, Dict, DictWatcher, List, Object, Owned, Raised, Signature,
    SlateDict, Slot, Str, Visitor, import,
};
use pyre_http::cookie;
use pyre_http::form::{self, form_decoded};
use pyre_http::header::HeaderSpan;

use crate::invoke::arguments::SLATES;
use crate::job::Job;
use crate::objects::request::Decoding;
use crate::objects::source::call_of;

const COOKIE_TEXT: Signature<1> = Signature::all("cookie_text", ["data"]);

/// Objects made for one request. Empty for a handler that asks for none of them.
pub(crate) struct Fields {
    /// The path parameters. Until they are asked for it may be the dict of a request before, which
    /// nobody else has: the next ones are put in there.
    pub(crate) params: SlateDict<SLATES>,
    pub(crate) query_params: Slot<Dict>,
    pub(crate) query_params_all: Slot<Dict>,
    pub(crate) headers: Slot<Dict>,
    pub(crate) cookies: Slot<Dict>,
    /// What was made of a form, for `pyreframework.forms`.
    pub(crate) form: Slot,
    pub(crate) body: Slot,
    pub(crate) state: Slot,
    pub(crate) session: Slot,
    /// The head of the answer is made: what becomes of the session from here on is not written.
    pub(crate) is_headed: Cell<bool>,
    pub(crate) id: Slot<Str>,
    pub(crate) csp_nonce: Slot<Str>,
    /// What is to be done after the answer: a list of (function, args, keywords).
    pub(crate) tasks: Slot<List>,
    /// An exception has told the handler of something that the client does wrong.
    pub(crate) has_complained: Cell<bool>,
    /// How much was taken of the body that is in memory.
    pub(crate) taken: Cell<usize>,
    /// All of the body is in memory, though its route takes it as it comes.
    pub(crate) is_loaded: Cell<bool>,
    /// What of it is in memory is not compressed, or not any more.
    pub(crate) is_plain: Cell<bool>,
    /// Where a body in pieces stands whose client has compressed it.
    pub(crate) decoding: RefCell<Option<Box<Decoding>>>,
    /// It was read as a whole by whoever runs now: nothing is left for him, but it is there as a whole.
    pub(crate) is_read: Cell<bool>,
}

impl Fields {
    /// Without any of them; the watcher is for the parameters.
    pub(crate) fn new(watcher: Option<DictWatcher>) -> Self {
        Self {
            params: SlateDict::new(watcher),
            query_params: Slot::empty(),
            query_params_all: Slot::empty(),
            headers: Slot::empty(),
            cookies: Slot::empty(),
            form: Slot::empty(),
            body: Slot::empty(),
            state: Slot::empty(),
            session: Slot::empty(),
            is_headed: Cell::new(false),
            id: Slot::empty(),
            csp_nonce: Slot::empty(),
            tasks: Slot::empty(),
            has_complained: Cell::new(false),
            taken: Cell::new(0),
            is_loaded: Cell::new(false),
            is_plain: Cell::new(false),
            decoding: RefCell::new(None),
            is_read: Cell::new(false),
        }
    }

    pub(crate) fn clear(&self, py: Attached<'_>) {
        self.params.clear(py);
        self.clear_others(py);
    }

    /// Forgets all but the parameters.
    pub(crate) fn clear_others(&self, py: Attached<'_>) {
        self.query_params.clear(py);
        self.query_params_all.clear(py);
        self.headers.clear(py);
        self.cookies.clear(py);
        self.form.clear(py);
        self.body.clear(py);
        self.state.clear(py);
        self.session.clear(py);
        self.is_headed.set(false);
        self.id.clear(py);
        self.csp_nonce.clear(py);
        self.tasks.clear(py);
        self.has_complained.set(false);
        self.taken.set(0);
        self.is_loaded.set(false);
        self.is_plain.set(false);
        self.decoding.take();
        self.is_read.set(false);
    }

    pub(crate) fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.params.visit(visitor);
        visitor.slot(&self.query_params);
        visitor.slot(&self.query_params_all);
        visitor.slot(&self.headers);
        visitor.slot(&self.cookies);
        visitor.slot(&self.form);
        visitor.slot(&self.body);
        visitor.slot(&self.state);
        visitor.slot(&self.session);
        visitor.slot(&self.id);
        visitor.slot(&self.csp_nonce);
        visitor.slot(&self.tasks);
    }
}

/// The header table of the job's current call.
pub(crate) fn header_table(job: &Job) -> &[HeaderSpan] {
    call_of(job).request.headers_in(&job.headers)
}

/// All headers by lower-case name.
///
/// RFC 9110 section 5.2: repeated ones are joined with a comma; `Cookie` with a semicolon
/// (RFC 6265 section 5.4, RFC 9113 section 8.2.3).
pub(crate) fn headers<'py>(py: Attached<'py>, job: &Job) -> Result<Owned<'py, Dict>, Raised> {
    let table = header_table(job);
    let dict = Dict::with_capacity(py, table.len())?;
    let mut name = Vec::new();
    for (index, header) in table.iter().enumerate() {
        lower_case(header.name.of(&job.bytes), &mut name);
        let same = |other: &&HeaderSpan| other.name.of(&job.bytes).eq_ignore_ascii_case(&name);
        if table[..index].iter().any(|other| same(&other)) {
            continue;
        }
        let value = joined(job, table[index..].iter().filter(same), &name);
        dict.set(&*Str::latin1(py, &name)?, &*Str::latin1(py, &value)?, py)?;
    }
    Ok(dict)
}

/// One header, whatever the case of its name.
pub(crate) fn header<'py>(
    py: Attached<'py>,
    job: &Job,
    name: &[u8],
) -> Result<Option<Owned<'py, Str>>, Raised> {
    let same = |other: &&HeaderSpan| other.name.of(&job.bytes).eq_ignore_ascii_case(name);
    let mut found = header_table(job).iter().filter(same).peekable();
    if found.peek().is_none() {
        return Ok(None);
    }
    Str::latin1(py, &joined(job, found, name)).map(Some)
}

fn joined<'a>(job: &Job, found: impl Iterator<Item = &'a HeaderSpan>, name: &[u8]) -> Vec<u8> {
    let separator: &[u8] = if name.eq_ignore_ascii_case(b"cookie") { b"; " } else { b", " };
    let mut value = Vec::new();
    for (index, header) in found.enumerate() {
        if index > 0 {
            value.extend_from_slice(separator);
        }
        value.extend_from_slice(header.value.of(&job.bytes));
    }
    value
}

fn lower_case(name: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend(name.iter().map(u8::to_ascii_lowercase));
}

/// Text from the wire as people mean it: UTF-8, with U+FFFD for what is not.
fn text<'py>(py: Attached<'py>, bytes: &[u8]) -> Result<Owned<'py, Str>, Raised> {
    Str::utf8_lossy(py, bytes)
}

/// Shows the decoded pairs of a query, in order.
fn each_pair<'py>(
    py: Attached<'py>,
    encoded: &[u8],
    mut show: impl FnMut(Owned<'py, Str>, Owned<'py, Str>) -> Result<(), Raised>,
) -> Result<(), Raised> {
    let (mut key_scratch, mut value_scratch) = (Vec::new(), Vec::new());
    for (key, value) in form::pairs(encoded) {
        let key = text(py, form_decoded(key, &mut key_scratch))?;
        show(key, text(py, form_decoded(value, &mut value_scratch))?)?;
    }
    Ok(())
}

/// Pairs of a query; of a repeated key the last value wins.
pub(crate) fn last_values<'py>(
    py: Attached<'py>,
    encoded: &[u8],
) -> Result<Owned<'py, Dict>, Raised> {
    let dict = Dict::new(py)?;
    each_pair(py, encoded, |key, value| dict.set(&*key, &*value, py))?;
    Ok(dict)
}

/// Pairs of a query; each key has the list of its values.
pub(crate) fn all_values<'py>(
    py: Attached<'py>,
    encoded: &[u8],
) -> Result<Owned<'py, Dict>, Raised> {
    let dict = Dict::new(py)?;
    each_pair(py, encoded, |key, value| match dict.get(&*key, py)? {
        Some(values) => {
            let values = values.cast::<List>().expect("only lists were put in");
            values.append(&*value, py)
        }
        None => dict.set(&*key, &*List::from_vec(py, vec![value.into_any()])?, py),
    })?;
    Ok(dict)
}

/// The last value of one key of a query.
pub(crate) fn query_value<'py>(
    py: Attached<'py>,
    encoded: &[u8],
    name: &str,
) -> Result<Option<Owned<'py, Str>>, Raised> {
    let mut scratch = Vec::new();
    let mut found = None;
    for (key, value) in form::pairs(encoded) {
        if form_decoded(key, &mut scratch) == name.as_bytes() {
            found = Some(value);
        }
    }
    found.map(|value| text(py, form_decoded(value, &mut scratch))).transpose()
}

/// Cookies by name; of a repeated one the first wins, which is the more particular one
/// (RFC 6265 section 5.4).
pub(crate) fn cookies<'py>(py: Attached<'py>, job: &Job) -> Result<Owned<'py, Dict>, Raised> {
    let dict = Dict::new(py)?;
    for header in header_table(job) {
        if !header.name.of(&job.bytes).eq_ignore_ascii_case(b"cookie") {
            continue;
        }
        for (name, value) in cookie::pairs(header.value.of(&job.bytes)) {
            let name = Str::new(py, &cookie::text(name))?;
            if !dict.contains(&*name, py)? {
                dict.set(&*name, &*Str::new(py, &cookie::text(value))?, py)?;
            }
        }
    }
    Ok(dict)
}

/// The function `cookie_text` of the module, for what reads cookies in Python: one rule for all.
pub(crate) fn cookie_text<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [data] = given.parse(&COOKIE_TEXT, py)?;
    let data = data.expect("the signature requires it");
    let Some(data) = data.cast::<Bytes>() else {
        return Err(Raised::type_error(py, "data must be bytes"));
    };
    Str::new(py, &cookie::text(data.as_slice())).map(Owned::into_any)
}

/// An empty namespace for `req.state`.
pub(crate) fn namespace(py: Attached<'_>) -> Result<Owned<'_>, Raised> {
    let class: Owned<'_> = import(py, "types")?.attr(&*Str::intern(py, "SimpleNamespace")?, py)?;
    let class: &Object = &class;
    class.call0(py)
}
