//! `FormParser`: takes a form with files apart.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;

use pyre_ffi::{
    Arguments, Attached, Bytes, Class, ClassSpec, Instance, Int, List, Object, Owned, Raised,
    Signature, Slot, Str, Tuple, Type, Visitor, none,
};
use pyre_http::multipart::boundary::boundary_of;
use pyre_http::multipart::fault::Fault;
use pyre_http::multipart::parser::{Event, Limits, Parser};

use super::refusal::raised;
use super::spool::FormSpool;

const NEW: Signature<4> =
    Signature::all("FormParser", ["content_type", "parts_max", "head_bytes_max", "name_bytes_max"]);

const FEED: Signature<1> = Signature::all("feed", ["data"]);

/// `FormParser`: takes a form with files apart.
pub(crate) struct FormParser {
    /// Boxed, as what it searches with is aligned to more than objects are.
    state: RefCell<Box<State>>,
    /// Where the data of the part goes that is coming, if it goes there at once.
    spool: Slot<Instance<FormSpool>>,
    /// Whether something was raised in the middle, such as that a disk is full: what came then is lost.
    is_broken: Cell<bool>,
}

struct State {
    parser: Parser,
    /// What it has not taken yet.
    held: Vec<u8>,
    /// What more bytes are taken into: always the same room, that of the flow and this one in turns.
    input: Vec<u8>,
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
        let state = State { parser, held: Vec::new(), input: Vec::new() };
        Ok(Self {
            state: RefCell::new(Box::new(state)),
            spool: Slot::empty(),
            is_broken: Cell::new(false),
        })
    }

    /// `feed(data)`: what comes of more bytes: of each part a tuple (name, filename, content_type), its data in
    /// bytes, or the number of those that have gone to the spool, and None for its end. What is wrong is told
    /// with the next call, if something came before.
    fn feed<'py>(&self, py: Attached<'py>, given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let [data] = given.parse(&FEED, py)?;
        self.digest(py, bytes(py, data.as_deref())?.as_slice())
    }

    /// As `feed`, of what `take` puts into the room that it is given, if it does.
    pub(crate) fn feed_taken<'py, T>(
        &self,
        py: Attached<'py>,
        take: impl FnOnce(&mut Vec<u8>) -> Result<Option<T>, Raised>,
    ) -> Result<Result<Owned<'py>, T>, Raised> {
        let mut input = {
            let mut state = self.state.try_borrow_mut().map_err(|_| busy(py))?;
            std::mem::take(&mut state.input)
        };
        let fed = match take(&mut input) {
            Ok(None) => self.digest(py, &input).map(Ok),
            Ok(Some(instead)) => Ok(Err(instead)),
            Err(raised) => Err(raised),
        };
        input.clear();
        if let Ok(mut state) = self.state.try_borrow_mut() {
            state.input = input;
        }
        fed
    }

    fn digest<'py>(&self, py: Attached<'py>, data: &[u8]) -> Result<Owned<'py>, Raised> {
        self.check_whole(py)?;
        let mut state = self.state.try_borrow_mut().map_err(|_| busy(py))?;
        let State { parser, held, .. } = &mut **state;
        let joined = (!held.is_empty()).then(|| {
            held.extend_from_slice(data);
            std::mem::take(held)
        });
        let input = joined.as_deref().unwrap_or(data);
        self.is_broken.set(true);
        let (mut at, mut found) = (0, Vec::new());
        loop {
            let (taken, event) = match parser.next(&input[at..]) {
                Ok(next) => next,
                // The parser tells it again, with each call.
                Err(fault) if found.is_empty() => {
                    self.is_broken.set(false);
                    return Err(raised(py, fault));
                }
                Err(_) => break,
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
                Some(Event::Data(some)) => match self.spool.get(py) {
                    Some(spool) => {
                        spool.append(py, some)?;
                        Int::from_u64(py, some.len() as u64)?.into_any()
                    }
                    None => Bytes::new(py, some)?.into_any(),
                },
                Some(Event::PartEnd) => {
                    self.spool.clear(py);
                    none(py)
                }
                Some(Event::End) => continue,
                None => break,
            });
        }
        held.extend_from_slice(&input[at..]);
        let events = List::from_vec(py, found)?;
        self.is_broken.set(false);
        Ok(events.into_any())
    }

    /// Makes sure that nothing of the form was lost.
    fn check_whole(&self, py: Attached<'_>) -> Result<(), Raised> {
        if self.is_broken.get() {
            return Err(Raised::runtime_error(py, "the form was not read on after an error"));
        }
        Ok(())
    }

    /// The data of the part that is coming goes there from now on.
    pub(crate) fn spool_to(&self, py: Attached<'_>, spool: Owned<'_, Instance<FormSpool>>) {
        self.spool.set(py, spool);
    }

    /// `finish()`: nothing more comes.
    fn finish<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.check_whole(py)?;
        let state = self.state.try_borrow().map_err(|_| busy(py))?;
        let State { parser, held, .. } = &**state;
        parser.finish(held).map(|()| none(py)).map_err(|fault| raised(py, fault))
    }
}

impl Class for FormParser {
    const NAME: &'static CStr = c"pyreframework.engine.FormParser";
    const DOC: &'static CStr = c"Takes a form with files apart.";

    fn describe(spec: &mut ClassSpec<Self>) {
        spec.gc()
            .constructor(Self::construct)
            .method(c"feed", c"feed($self, data)\n--\n\nWhat comes of more bytes.", Self::feed)
            .method0(c"finish", c"finish($self)\n--\n\nNothing more comes.", Self::finish);
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.spool);
    }

    fn clear(&self, py: Attached<'_>) {
        self.spool.clear(py);
    }
}

/// Two threads read one form.
#[cold]
fn busy(py: Attached<'_>) -> Raised {
    Raised::runtime_error(py, "another thread reads this form")
}

pub(super) fn bytes<'a>(
    py: Attached<'_>,
    given: Option<&'a Object>,
) -> Result<&'a Object<Bytes>, Raised> {
    let given = given.and_then(Object::cast::<Bytes>);
    given.ok_or_else(|| Raised::type_error(py, "bytes are needed"))
}

pub(super) fn size(py: Attached<'_>, given: Option<&Object>) -> Result<usize, Raised> {
    let number = given.and_then(Object::cast::<Int>).and_then(|number| number.as_u64(py));
    match number {
        // What no memory has is no bound.
        Some(number) => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
        None => Err(Raised::type_error(py, "a bound is a number from 0")),
    }
}
