//! Forms for `pyreframework.forms`, which collects what comes of them: the parser of those with files, and the
//! pairs of URL-encoded ones.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;

use pyre_ffi::module::ModuleObject;
use pyre_ffi::{
    Arguments, Attached, Bytes, Class, ClassSpec, Int, List, Object, Owned, Raised, Signature, Str,
    Tuple, Type, import, none,
};
use pyre_http::form::{form_decoded, pairs};
use pyre_http::multipart::boundary::boundary_of;
use pyre_http::multipart::fault::Fault;
use pyre_http::multipart::parser::{Event, Limits, Parser};

const NEW: Signature<4> =
    Signature::all("FormParser", ["content_type", "parts_max", "head_bytes_max", "name_bytes_max"]);

const FEED: Signature<1> = Signature::all("feed", ["data"]);

const PAIRS: Signature<4> =
    Signature::all("form_pairs", ["data", "pairs_max", "name_bytes_max", "value_bytes_max"]);

/// `FormParser`: takes a form with files apart.
pub(crate) struct FormParser {
    /// The parser, and what it has not taken yet. Boxed, as what it searches with is aligned to more than
    /// objects are.
    state: RefCell<Box<(Parser, Vec<u8>)>>,
    /// What is wrong with the form, once that was found.
    fault: Cell<Option<Fault>>,
}

impl FormParser {
    fn construct(
        py: Attached<'_>,
        given: Arguments<'_>,
        _class: &Object<Type>,
    ) -> Result<Self, Raised> {
        let [content_type, parts_max, head_bytes_max, name_bytes_max] = given.parse(&NEW, py)?;
        let limits = Limits {
            parts_max: size(py, parts_max.as_deref())?,
            head_bytes_max: size(py, head_bytes_max.as_deref())?,
            name_bytes_max: size(py, name_bytes_max.as_deref())?,
        };
        let content_type = bytes(py, content_type.as_deref())?.as_slice();
        let boundary = boundary_of(content_type).and_then(|found| found.ok_or(Fault::ContentType));
        let parser = boundary.and_then(|boundary| Parser::new(boundary, limits));
        let parser = parser.map_err(|fault| raised(py, fault))?;
        Ok(Self { state: RefCell::new(Box::new((parser, Vec::new()))), fault: Cell::new(None) })
    }

    /// `feed(data)`: what comes of more bytes: of each part a tuple (name, filename, content_type), its data in
    /// bytes, and None for its end. What is wrong is told with the next call, if something came before.
    fn feed<'py>(&self, py: Attached<'py>, given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let [data] = given.parse(&FEED, py)?;
        let data = bytes(py, data.as_deref())?;
        if let Some(fault) = self.fault.get() {
            return Err(raised(py, fault));
        }
        let Ok(mut state) = self.state.try_borrow_mut() else {
            return Err(Raised::runtime_error(py, "another thread reads this form"));
        };
        let (parser, held) = &mut **state;
        let joined = (!held.is_empty()).then(|| {
            held.extend_from_slice(data.as_slice());
            std::mem::take(held)
        });
        let input = joined.as_deref().unwrap_or(data.as_slice());
        let (mut at, mut found) = (0, Vec::new());
        loop {
            let (taken, event) = match parser.next(&input[at..]) {
                Ok(next) => next,
                Err(fault) if found.is_empty() => return Err(raised(py, fault)),
                Err(fault) => {
                    self.fault.set(Some(fault));
                    break;
                }
            };
            at += taken;
            found.push(match event {
                Some(Event::Begin(head)) => {
                    let text = |text: Option<String>| match text {
                        Some(text) => Str::new(py, &text).map(Owned::into_any),
                        None => Ok(none(py)),
                    };
                    let name = Str::new(py, &head.name)?.into_any();
                    let parts = [name, text(head.filename)?, text(head.content_type)?];
                    Tuple::new(py, parts)?.into_any()
                }
                // All of it: nobody has to copy it.
                Some(Event::Data(some))
                    if joined.is_none() && some.len() == data.as_slice().len() =>
                {
                    data.to_owned(py).into_any()
                }
                Some(Event::Data(some)) => Bytes::new(py, some)?.into_any(),
                Some(Event::PartEnd) => none(py),
                Some(Event::End) => continue,
                None => break,
            });
        }
        held.extend_from_slice(&input[at..]);
        List::from_vec(py, found).map(Owned::into_any)
    }

    /// `finish()`: nothing more comes.
    fn finish<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let Ok(state) = self.state.try_borrow() else {
            return Err(Raised::runtime_error(py, "another thread reads this form"));
        };
        let (parser, held) = &**state;
        let ended = self.fault.get().map_or_else(|| parser.finish(held), Err);
        ended.map(|()| none(py)).map_err(|fault| raised(py, fault))
    }
}

impl Class for FormParser {
    const NAME: &'static CStr = c"pyreframework.engine.FormParser";
    const DOC: &'static CStr = c"Takes a form with files apart.";

    fn describe(spec: &mut ClassSpec<Self>) {
        spec.constructor(Self::construct)
            .method(c"feed", c"feed($self, data)\n--\n\nWhat comes of more bytes.", Self::feed)
            .method0(c"finish", c"finish($self)\n--\n\nNothing more comes.", Self::finish);
    }
}

/// The function `form_pairs` of the module: the pairs of a URL-encoded form, which have to be UTF-8.
pub(crate) fn form_pairs<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [data, pairs_max, name_bytes_max, value_bytes_max] = given.parse(&PAIRS, py)?;
    let pairs_max = size(py, pairs_max.as_deref())?;
    let bounds = [name_bytes_max, value_bytes_max];
    let (mut found, mut scratch) = (Vec::new(), Vec::new());
    for (name, value) in pairs(bytes(py, data.as_deref())?.as_slice()) {
        if found.len() == pairs_max {
            return Err(refusal(py, 413, "the form has too many fields"));
        }
        let mut pair = [none(py), none(py)];
        for ((raw, place), bound) in [name, value].into_iter().zip(&mut pair).zip(bounds) {
            let decoded = form_decoded(raw, &mut scratch);
            if decoded.len() > size(py, bound.as_deref())? {
                return Err(refusal(py, 413, "a name or a value in the form is too long"));
            }
            let Ok(text) = std::str::from_utf8(decoded) else {
                return Err(refusal(py, 400, "the form is not UTF-8"));
            };
            *place = Str::new(py, text)?.into_any();
        }
        found.push(Tuple::new(py, pair)?.into_any());
    }
    List::from_vec(py, found).map(Owned::into_any)
}

/// The exception for what is wrong with a form.
fn raised(py: Attached<'_>, fault: Fault) -> Raised {
    refusal(py, fault.status(), fault.reason())
}

/// A `FormError`: what the client is answered, and why.
#[cold]
fn refusal(py: Attached<'_>, status: u16, reason: &str) -> Raised {
    let made = import(py, "pyreframework.errors").and_then(|errors| {
        let class = errors.attr(&*Str::intern(py, "FormError")?, py)?;
        let told = [Int::new(py, status.into())?.into_any(), Str::new(py, reason)?.into_any()];
        Ok(Raised::with(py, &class, &*Tuple::new(py, told)?))
    });
    made.unwrap_or_else(|raised| raised)
}

fn bytes<'a>(py: Attached<'_>, given: Option<&'a Object>) -> Result<&'a Object<Bytes>, Raised> {
    let given = given.and_then(Object::cast::<Bytes>);
    given.ok_or_else(|| Raised::type_error(py, "bytes are needed"))
}

fn size(py: Attached<'_>, given: Option<&Object>) -> Result<usize, Raised> {
    let number = given.and_then(Object::cast::<Int>).and_then(|number| number.as_u64(py));
    match number {
        // What no memory has is no bound.
        Some(number) => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
        None => Err(Raised::type_error(py, "a bound is a number from 0")),
    }
}
