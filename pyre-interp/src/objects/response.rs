//! `PyreResponse`: status, headers and body, as a handler sets them.

use std::cell::Cell;
use std::ffi::CStr;

use pyre_ffi::{
    Arguments, Attached, Borrowed, Class, ClassSpec, Dict, Instance, Int, List, Object, Owned,
    Raised, Signature, Slot, Str, Tuple, Type, Visitor, import, none,
};

use crate::objects::headers::{copied, spellings};
use crate::objects::stream::{Stream, take_length};
use crate::objects::toolkit::Toolkit;
use crate::serialize::answer::{Parts, check_status};
use crate::serialize::fields;

/// A response before it is bytes.
pub struct Response {
    body: Slot,
    status: Cell<u16>,
    /// Empty: by the type of the body.
    content_type: Slot<Str>,
    /// A dict, or the `ResponseHeaders` made of it when somebody asked for them.
    headers: Slot,
    /// What the headers said of the length of a body in pieces.
    length: Cell<Option<u64>>,
}

const NEW: Signature<4> = Signature {
    function: "PyreResponse",
    names: ["body", "status_code", "content_type", "headers"],
    required: 0,
    positional_max: 4,
};

/// What the page of debug mode may do: nothing but to have its style, which is known by its digest.
const DEBUG_PAGE_POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; \
     style-src 'sha256-ZR7RmFQ3WPRDBcp/zBnwhVuy4n0jG6QVxtvN9HWnJck='";

impl Response {
    /// A response with this status and body.
    pub(crate) fn of_body<'py>(
        py: Attached<'py>,
        tools: &Toolkit,
        status: u16,
        body: Owned<'py>,
    ) -> Result<Owned<'py, Instance<Response>>, Raised> {
        Self::of_parts(
            py,
            tools,
            Parts { status, body, content_type: None, headers: None, length: None },
        )
    }

    /// The response that a result stands for, for hooks that may change it: one that somebody else
    /// knows, such as a constant of the program, stays as it is, and they get a copy.
    pub(crate) fn of_result<'py>(
        py: Attached<'py>,
        tools: &Toolkit,
        result: Owned<'py>,
    ) -> Result<Owned<'py, Instance<Response>>, Raised> {
        match tools.response.cast(&result, py) {
            Some(response) if result.reference_count() == 1 => Ok(response.to_owned(py)),
            Some(response) => response.copy(py, tools),
            None => match tools.stream.cast(&result, py) {
                Some(stream) => Self::of_parts(py, tools, Stream::parts(stream, py)),
                None => Self::of_parts(py, tools, Parts::of_result(py, result)?),
            },
        }
    }

    /// An equal response, whose headers are its own down to the lists among their values.
    fn copy<'py>(
        &self,
        py: Attached<'py>,
        tools: &Toolkit,
    ) -> Result<Owned<'py, Instance<Response>>, Raised> {
        let mut parts = self.parts(py, tools)?;
        if let Some(headers) = parts.headers {
            let copy = headers.copy(py)?;
            for item in headers.items(py) {
                let (name, value) = item?;
                if let Some(lines) = value.cast::<List>() {
                    let lines = (0..lines.len()).filter_map(|index| lines.get(index, py)).collect();
                    copy.set(&name, List::from_vec(py, lines)?.as_any(), py)?;
                }
            }
            parts.headers = Some(copy);
        }
        Self::of_parts(py, tools, parts)
    }

    /// The page of `python/pyreframework/handlers/debug_page.py`, with a policy that lets its style apply,
    /// whatever that of the app says.
    pub(crate) fn page<'py>(
        py: Attached<'py>,
        tools: &Toolkit,
        status: u16,
        page: Owned<'py, Str>,
    ) -> Result<Owned<'py, Instance<Response>>, Raised> {
        let content_type = Some(Str::intern(py, "text/html; charset=utf-8")?);
        let body = page.into_any();
        let headers = Dict::new(py)?;
        let name = Str::intern(py, "Content-Security-Policy")?;
        headers.set(&*name, &*Str::intern(py, DEBUG_PAGE_POLICY)?, py)?;
        let headers = Some(headers);
        Self::of_parts(py, tools, Parts { status, body, content_type, headers, length: None })
    }

    /// A response made of its parts.
    pub(crate) fn of_parts<'py>(
        py: Attached<'py>,
        tools: &Toolkit,
        parts: Parts<'py>,
    ) -> Result<Owned<'py, Instance<Response>>, Raised> {
        let Parts { status, body, content_type, headers, length } = parts;
        let value = Self {
            body: Slot::new(py, body),
            status: Cell::new(status),
            content_type: content_type.map_or_else(Slot::empty, |text| Slot::new(py, text)),
            headers: headers.map_or_else(Slot::empty, |headers| Slot::new(py, headers.into_any())),
            length: Cell::new(length),
        };
        Instance::new(py, &tools.response, value)
    }

    /// Takes the response apart.
    ///
    /// # Errors
    /// `TypeError` if somebody has put another class in the place of `ResponseHeaders`.
    pub(crate) fn parts<'py>(
        &self,
        py: Attached<'py>,
        tools: &Toolkit,
    ) -> Result<Parts<'py>, Raised> {
        let headers = match self.headers.get(py) {
            None => None,
            Some(headers) => match tools.headers.cast(&headers, py) {
                Some(checked) => Some(checked.dict(py)),
                None => Some(headers.downcast::<Dict>().map_err(|headers| {
                    let text =
                        format!("headers must be ResponseHeaders, not {}", headers.type_name());
                    Raised::type_error(py, &text)
                })?),
            },
        };
        Ok(Parts {
            status: self.status.get(),
            body: self.body.get(py).unwrap_or_else(|| none(py)),
            content_type: self.content_type.get(py),
            headers,
            length: self.length.get(),
        })
    }

    fn construct(
        py: Attached<'_>,
        given: Arguments<'_>,
        _class: &Object<Type>,
    ) -> Result<Self, Raised> {
        let [body, status, content_type, headers] = given.parse(&NEW, py)?;
        let response = Self {
            body: Slot::new(py, body.map_or_else(|| none(py), |body| body.to_owned(py))),
            status: Cell::new(200),
            content_type: Slot::empty(),
            headers: Slot::empty(),
            length: Cell::new(None),
        };
        if let Some(status) = status {
            response.set_status(py, &status)?;
        }
        if let Some(headers) = headers.filter(|headers| !headers.is_none()) {
            response.set_headers(py, &headers)?;
        }
        // Behind the headers, so that it stands if they have one as well.
        if let Some(content_type) = content_type.filter(|content_type| !content_type.is_none()) {
            response.set_content_type(py, &content_type)?;
        }
        Ok(response)
    }

    fn body<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(self.body.get(py).unwrap_or_else(|| none(py)))
    }

    fn set_body(&self, py: Attached<'_>, body: &Object) -> Result<(), Raised> {
        self.body.set(py, body.to_owned(py));
        Ok(())
    }

    fn status<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Int::new(py, self.status.get().into()).map(Owned::into_any)
    }

    fn set_status(&self, py: Attached<'_>, status: &Object) -> Result<(), Raised> {
        let Some(number) = status.cast::<Int>() else {
            let text = format!("status_code must be an int, not {}", status.type_name());
            return Err(Raised::type_error(py, &text));
        };
        self.status.set(check_status(py, number.as_i64().unwrap_or(-1))?);
        Ok(())
    }

    /// The media type that was set last, be it here or among the headers.
    fn content_type<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        if let Some(headers) = self.headers.get(py) {
            let given = match headers.cast_exact::<Dict>() {
                Some(dict) => last_of_name(dict, "Content-Type", py)?,
                None => {
                    let name = Str::intern(py, "Content-Type")?;
                    Some(headers.call_method1(&*Str::intern(py, "get")?, &*name, py)?)
                }
            };
            if let Some(given) = given.filter(|given| !given.is_none()) {
                return last_line(given, py);
            }
        }
        Ok(self.content_type.get(py).map_or_else(|| none(py), Owned::into_any))
    }

    fn set_content_type(&self, py: Attached<'_>, content_type: &Object) -> Result<(), Raised> {
        if content_type.is_none() {
            self.forget_content_type_header(py)?;
            self.content_type.clear(py);
            return Ok(());
        }
        let Some(text) = content_type.cast::<Str>() else {
            let text = format!("content_type must be a str, not {}", content_type.type_name());
            return Err(Raised::type_error(py, &text));
        };
        fields::check_one(&*Str::intern(py, "Content-Type")?, text, py)?;
        self.forget_content_type_header(py)?;
        self.content_type.set(py, text.to_owned(py));
        Ok(())
    }

    /// What the headers say of the type of the body holds no more.
    fn forget_content_type_header(&self, py: Attached<'_>) -> Result<(), Raised> {
        let Some(headers) = self.headers.get(py) else { return Ok(()) };
        let name = Str::intern(py, "Content-Type")?;
        match headers.cast_exact::<Dict>() {
            Some(dict) => {
                for spelling in spellings(dict, &name, py)? {
                    dict.delete(&spelling, py)?;
                }
            }
            None => {
                let pop = Str::intern(py, "pop")?;
                headers.call_method2(&pop, &*name, &none(py), py)?;
            }
        }
        Ok(())
    }

    /// The headers: a mapping that belongs to this response, made when first asked for.
    fn headers<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
    ) -> Result<Owned<'py>, Raised> {
        let given = match this.headers.get(py) {
            Some(headers) if !headers.is_exact::<Dict>() => return Ok(headers),
            given => given,
        };
        let class = this.module(py)?.as_any().attr(&*Str::intern(py, "ResponseHeaders")?, py)?;
        let headers = match given {
            Some(given) => class.call1(&given, py)?,
            None => class.call0(py)?,
        };
        this.headers.set(py, headers.clone());
        Ok(headers)
    }

    fn set_headers(&self, py: Attached<'_>, headers: &Object) -> Result<(), Raised> {
        let headers = copied(py, headers)?;
        if self.is_in_pieces(py) {
            self.length.set(take_length(&headers, py)?);
        }
        fields::check(&headers, py)?;
        self.headers.set(py, headers.into_any());
        Ok(())
    }

    /// What the headers said of the length of a body in pieces, for `pyreframework.cookies`, which copies
    /// responses: they do not show it.
    fn length<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        match self.length.get() {
            Some(length) => Int::from_u64(py, length).map(Owned::into_any),
            None => Ok(none(py)),
        }
    }

    fn set_length(&self, py: Attached<'_>, length: &Object) -> Result<(), Raised> {
        self.length.set(length.cast::<Int>().and_then(|number| number.as_u64(py)));
        Ok(())
    }

    /// `set_cookie(name, value, ...)`: one more cookie, as the function of that name has it, in this response.
    fn set_cookie<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        put_cookie(this, py, given, "set_cookie")
    }

    /// `delete_cookie(name, ...)`: has the client forget one.
    fn delete_cookie<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        put_cookie(this, py, given, "delete_cookie")
    }

    /// `PyreResponse.file(path, ...)`: what `pyreframework.sending` makes of these arguments.
    fn file<'py>(py: Attached<'py>, given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let sending = import(py, "pyreframework.sending")?;
        let send_file = sending.attr(&*Str::intern(py, "send_file")?, py)?;
        given.pass_on(&send_file, &[], py)
    }

    /// Whether the body is one whose length only the program knows.
    fn is_in_pieces(&self, py: Attached<'_>) -> bool {
        self.body.get(py).is_some_and(|body| body.is_generator() || body.is_async_generator())
    }

    fn repr<'py>(&self, py: Attached<'py>) -> Result<Owned<'py, Str>, Raised> {
        Str::new(py, &format!("<PyreResponse {}>", self.status.get()))
    }
}

/// Has `pyreframework.cookies` add what its function of this name writes for these arguments.
fn put_cookie<'py>(
    this: &Object<Instance<Response>>,
    py: Attached<'py>,
    given: Arguments<'_>,
    function: &str,
) -> Result<Owned<'py>, Raised> {
    let cookies = import(py, "pyreframework.cookies")?;
    let put = cookies.attr(&*Str::intern(py, "put")?, py)?;
    let (values, keywords) = given.kept(py)?;
    let arguments = [
        this.to_owned(py).into_any(),
        cookies.attr(&*Str::intern(py, function)?, py)?,
        values.into_any(),
        keywords.into_any(),
    ];
    put.call(Owned::borrow_all(&arguments), py)
}

/// The value under the last spelling of a name.
fn last_of_name<'py>(
    headers: &Object<Dict>,
    name: &str,
    py: Attached<'py>,
) -> Result<Option<Owned<'py>>, Raised> {
    match spellings(headers, &*Str::intern(py, name)?, py)?.pop() {
        Some(spelling) => headers.get(&spelling, py),
        None => Ok(None),
    }
}

/// The value of a header, or of several lines of it the last.
fn last_line<'py>(value: Owned<'py>, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
    let last = match (value.cast::<List>(), value.cast::<Tuple>()) {
        (Some(lines), _) => lines.len().checked_sub(1).and_then(|last| lines.get(last, py)),
        (None, Some(lines)) => lines.items().last().map(|line| Borrowed::to_owned(*line, py)),
        (None, None) => Some(value),
    };
    Ok(last.unwrap_or_else(|| none(py)))
}

impl Class for Response {
    const NAME: &'static CStr = c"pyreframework.engine.PyreResponse";
    const DOC: &'static CStr = c"PyreResponse(body=None, status_code=200, content_type=None, headers=None)\n--\n\n\
        An answer with status and headers.\n\n\
        The body is encoded by its type, as the result of a handler is; content_type overrides what \
        follows from it, and a Content-Type among the headers given with it. A value of headers may be a list of str. CR, LF and NUL are refused with \
        ValueError, and so are the headers that the server sets: Content-Length, Connection, \
        Transfer-Encoding, Date, Server and their like.";

    fn describe(spec: &mut ClassSpec<Self>) {
        spec.gc()
            .constructor(Self::construct)
            .property(c"body", c"What is encoded as the body.", Self::body, Self::set_body)
            .property(
                c"status_code",
                c"The status, from 200 to 599.",
                Self::status,
                Self::set_status,
            )
            .property(
                c"content_type",
                c"The media type, or None: by the type of the body.",
                Self::content_type,
                Self::set_content_type,
            )
            .bound_property(
                c"headers",
                c"Headers by name, checked when set; a value is a str or a list of str.",
                Self::headers,
                Self::set_headers,
            )
            .property(
                c"_length",
                c"What the headers said of the length of a body in pieces, or None.",
                Self::length,
                Self::set_length,
            )
            .bound_method(
                c"set_cookie",
                c"set_cookie($self, name, value, **attributes)\n--\n\nAdd a cookie, as the function set_cookie \
                  does to a new response.",
                Self::set_cookie,
            )
            .bound_method(
                c"delete_cookie",
                c"delete_cookie($self, name, **attributes)\n--\n\nHave the client forget a cookie.",
                Self::delete_cookie,
            )
            .class_method(
                c"file",
                c"file($type, path, *, status_code=200, content_type=None, headers=None, download_name=None, \
                  attachment=None, max_age=None)\n--\n\nAn answer whose body is a file, as the function \
                  send_file makes it.",
                Self::file,
            )
            .repr(Self::repr);
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.body);
        visitor.slot(&self.content_type);
        visitor.slot(&self.headers);
    }

    fn clear(&self, py: Attached<'_>) {
        self.body.clear(py);
        self.content_type.clear(py);
        self.headers.clear(py);
    }
}
