//! `ResponseHeaders`: the headers of a response, checked where they are set.
//!
//! A dict behind a class of its own, made when a handler or hook asks for `resp.headers`. Names are
//! looked up whatever their case (RFC 9110 section 5.1) and keep the spelling they were set with. A
//! list handed out can still be changed behind our back; `serialize/` checks again.

use std::ffi::CStr;

use pyre_ffi::{
    Arguments, Attached, Borrowed, Class, ClassSpec, Dict, ExceptionKind, Held, List, Object,
    Owned, Raised, Signature, Str, Tuple, Type, Visitor, import, none,
};

use crate::serialize::fields;

/// Headers by name; every one may be sent as it was when it was set.
pub(crate) struct ResponseHeaders {
    dict: Held<Dict>,
}

const GET: Signature<2> =
    Signature { function: "get", names: ["key", "default"], required: 1, positional_max: 2 };

const POP: Signature<2> = Signature { function: "pop", ..GET };

const SETDEFAULT: Signature<2> = Signature { function: "setdefault", required: 2, ..GET };

impl ResponseHeaders {
    fn construct(
        py: Attached<'_>,
        given: Arguments<'_>,
        _class: &Object<Type>,
    ) -> Result<Self, Raised> {
        let dict = gather(py, given, "ResponseHeaders")?;
        fields::check(&dict, py)?;
        keep_last_spellings(&dict, py)?;
        Ok(Self { dict: Held::new(py, dict) })
    }

    /// The dict itself, to be read.
    pub(crate) fn dict<'py>(&self, py: Attached<'py>) -> Owned<'py, Dict> {
        self.dict.to_owned(py)
    }

    fn set(&self, py: Attached<'_>, name: &Object, value: &Object) -> Result<(), Raised> {
        fields::check_item(name, value, py)?;
        // An equal name stays in its place, as in a dict; other spellings of it go.
        for spelling in self.spellings(py, name)? {
            if !spelling.equals(name, py)? {
                self.dict.bind(py).delete(&spelling, py)?;
            }
        }
        self.dict.bind(py).set(name, value, py)
    }

    fn assign(
        &self,
        py: Attached<'_>,
        name: &Object,
        value: Option<&Object>,
    ) -> Result<(), Raised> {
        if let Some(value) = value {
            return self.set(py, name, value);
        }
        let spellings = self.spellings(py, name)?;
        if spellings.is_empty() {
            return Err(missing(py, name));
        }
        for spelling in spellings {
            self.dict.bind(py).delete(&spelling, py)?;
        }
        Ok(())
    }

    /// `update(mapping_or_pairs, **headers)`: all of them, or none if one is refused.
    fn update<'py>(&self, py: Attached<'py>, given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let news = gather(py, given, "update")?;
        fields::check(&news, py)?;
        for item in news.items(py) {
            let (name, value) = item?;
            self.set(py, &name, &value)?;
        }
        Ok(none(py))
    }

    fn setdefault<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [name, value] = parse(given, &SETDEFAULT, py)?;
        if let Some(value) = self.find(py, &name)? {
            return Ok(value);
        }
        self.set(py, &name, &value)?;
        Ok(value)
    }

    fn pop<'py>(&self, py: Attached<'py>, given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let [Some(name), default] = given.parse(&POP, py)? else { unreachable!("it is required") };
        match (self.find(py, &name)?, default) {
            (Some(value), _) => {
                self.assign(py, &name, None)?;
                Ok(value)
            }
            (None, Some(default)) => Ok(default.to_owned(py)),
            (None, None) => Err(missing(py, &name)),
        }
    }

    fn get<'py>(&self, py: Attached<'py>, given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let [Some(name), default] = given.parse(&GET, py)? else { unreachable!("it is required") };
        let default = || default.map_or_else(|| none(py), |default| default.to_owned(py));
        Ok(self.find(py, &name)?.unwrap_or_else(default))
    }

    fn item<'py>(&self, py: Attached<'py>, name: &Object) -> Result<Owned<'py>, Raised> {
        self.find(py, name)?.ok_or_else(|| missing(py, name))
    }

    fn contains(&self, py: Attached<'_>, name: &Object) -> Result<bool, Raised> {
        self.find(py, name).map(|value| value.is_some())
    }

    /// What the dict's method of this name returns.
    fn ask<'py>(&self, py: Attached<'py>, method: &str) -> Result<Owned<'py>, Raised> {
        self.dict.bind(py).as_any().call_method0(&*Str::intern(py, method)?, py)
    }

    /// Equal to any mapping with the same values under the same names, whatever their case.
    fn equals(&self, py: Attached<'_>, other: &Object) -> Result<Option<bool>, Raised> {
        if other.attr_if_any(&*Str::intern(py, "keys")?, py)?.is_none() {
            return Ok(None);
        }
        let other = Self { dict: Held::new(py, copied(py, other)?) };
        if self.dict.bind(py).len() != other.dict.bind(py).len() {
            return Ok(Some(false));
        }
        Ok(Some(self.is_within(&other, py)? && other.is_within(self, py)?))
    }

    fn is_within(&self, other: &Self, py: Attached<'_>) -> Result<bool, Raised> {
        for item in self.dict.bind(py).items(py) {
            let (name, value) = item?;
            let there = other.find(py, &name)?;
            if !there.map_or(Ok(false), |there| there.equals(&value, py))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn repr<'py>(&self, py: Attached<'py>) -> Result<Owned<'py, Str>, Raised> {
        let dict = self.dict.bind(py).repr(py)?;
        Str::new(py, &format!("ResponseHeaders({})", dict.as_utf8(py)?))
    }

    /// The value under this name: of this spelling if there is one, else of any.
    fn find<'py>(&self, py: Attached<'py>, name: &Object) -> Result<Option<Owned<'py>>, Raised> {
        let Some(name) = name.cast::<Str>() else { return Ok(None) };
        let dict = self.dict.bind(py);
        if let Some(value) = dict.get(name, py)? {
            return Ok(Some(value));
        }
        for item in dict.items(py) {
            let (spelling, value) = item?;
            if is_spelling(&spelling, name) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// The names that differ from this one in case only.
    fn spellings<'py>(&self, py: Attached<'py>, name: &Object) -> Result<Vec<Owned<'py>>, Raised> {
        let Some(name) = name.cast::<Str>() else { return Ok(Vec::new()) };
        spellings(&self.dict.bind(py), name, py)
    }
}

/// The keys of a dict that differ from a name in case only, in their order.
pub(crate) fn spellings<'py>(
    dict: &Object<Dict>,
    name: &Object<Str>,
    py: Attached<'py>,
) -> Result<Vec<Owned<'py>>, Raised> {
    let names = dict.items(py).map(|item| item.map(|(name, _)| name));
    names.filter(|other| !matches!(other, Ok(other) if !is_spelling(other, name))).collect()
}

/// Takes out what is not sent: of a header that may stand only once all spellings but the last.
fn keep_last_spellings(dict: &Object<Dict>, py: Attached<'_>) -> Result<(), Raised> {
    let names: Result<Vec<_>, _> = dict.items(py).map(|item| item.map(|(name, _)| name)).collect();
    for name in names? {
        let Some(text) = name.cast::<Str>().filter(|text| fields::is_single_name(text)) else {
            continue;
        };
        let mut spellings = spellings(dict, text, py)?;
        spellings.pop();
        for spelling in spellings {
            dict.delete(&spelling, py)?;
        }
    }
    Ok(())
}

fn is_spelling(other: &Object, name: &Object<Str>) -> bool {
    other.cast::<Str>().is_some_and(|other| fields::is_same_name(other, name))
}

/// The arguments of `dict(...)`: a mapping or pairs, and more by name.
fn gather<'py>(
    py: Attached<'py>,
    given: Arguments<'_>,
    function: &str,
) -> Result<Owned<'py, Dict>, Raised> {
    let dict = match given.positional() {
        [] => Dict::new(py)?,
        [headers] => copied(py, headers)?,
        more => {
            let text =
                format!("{function}() takes at most 1 positional argument ({} given)", more.len());
            return Err(Raised::type_error(py, &text));
        }
    };
    for (name, value) in given.named() {
        dict.set(&name, &value, py)?;
    }
    Ok(dict)
}

/// A dict with the items of any mapping, or with pairs: all values of those that have the same name.
pub(crate) fn copied<'py>(py: Attached<'py>, mapping: &Object) -> Result<Owned<'py, Dict>, Raised> {
    if let Some(dict) = mapping.cast_exact::<Dict>() {
        return dict.copy(py);
    }
    let dict = Dict::new(py)?;
    if mapping.attr_if_any(&*Str::intern(py, "keys")?, py)?.is_some() {
        dict.as_any().call_method1(&*Str::intern(py, "update")?, mapping, py)?;
        return Ok(dict);
    }
    let pairs =
        import(py, "builtins")?.attr(&*Str::intern(py, "tuple")?, py)?.call1(mapping, py)?;
    for pair in pairs.cast::<Tuple>().map_or(&[][..], |pairs| pairs.items()) {
        // What is no pair is refused as it would be of all of them at once.
        let one = Dict::new(py)?;
        let alone = Tuple::new(py, [Borrowed::to_owned(*pair, py)])?;
        one.as_any().call_method1(&*Str::intern(py, "update")?, &*alone, py)?;
        for item in one.items(py) {
            let (name, value) = item?;
            let value = match dict.get(&name, py)? {
                Some(before) => both(&before, &value, py)?,
                None => value,
            };
            dict.set(&name, &value, py)?;
        }
    }
    Ok(dict)
}

/// The values of a header, each of which may be a text or several of them.
fn both<'py>(first: &Object, second: &Object, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
    let values = List::new(py)?;
    for given in [first, second] {
        if given.is_a::<Str>() {
            values.append(given, py)?;
        } else {
            values.as_any().call_method1(&*Str::intern(py, "extend")?, given, py)?;
        }
    }
    Ok(values.into_any())
}

/// Arguments that are all required.
fn parse<'py, const N: usize>(
    given: Arguments<'_>,
    signature: &Signature<N>,
    py: Attached<'py>,
) -> Result<[Owned<'py>; N], Raised> {
    let values = given.parse(signature, py)?;
    Ok(values.map(|value| value.expect("all are required").to_owned(py)))
}

#[cold]
fn missing(py: Attached<'_>, name: &Object) -> Raised {
    Raised::with(py, &ExceptionKind::KeyError.object(py), name)
}

impl Class for ResponseHeaders {
    const NAME: &'static CStr = c"pyreframework.engine.ResponseHeaders";
    const DOC: &'static CStr = c"ResponseHeaders(headers=(), /, **more)\n--\n\n\
        Headers by name, as a mapping that checks what it is given.\n\n\
        A value is a str, or a list or tuple of str. Names are looked up whatever their case. What \
        may not be sent is refused with ValueError: CR, LF, NUL, and the headers that the server \
        sets.";

    fn describe(spec: &mut ClassSpec<Self>) {
        spec.gc()
            .constructor(Self::construct)
            .length(|this, py| Ok(this.dict.bind(py).len()))
            .item(Self::item)
            .assign_item(Self::assign)
            .contains(Self::contains)
            .iterate(|this, py| this.ask(py, "__iter__"))
            .equals(Self::equals)
            .repr(Self::repr)
            .method(
                c"get",
                c"get($self, key, /, default=None)\n--\n\nThe value of a header, or default.",
                Self::get,
            )
            .method0(c"keys", c"keys($self, /)\n--\n\nThe names.", |this, py| this.ask(py, "keys"))
            .method0(c"values", c"values($self, /)\n--\n\nThe values.", |this, py| {
                this.ask(py, "values")
            })
            .method0(c"items", c"items($self, /)\n--\n\nNames with values.", |this, py| {
                this.ask(py, "items")
            })
            .method(c"pop", c"Remove a header and return its value, or default.", Self::pop)
            .method0(
                c"popitem",
                c"popitem($self, /)\n--\n\nRemove the last header and return name and value.",
                |this, py| this.ask(py, "popitem"),
            )
            .method0(c"clear", c"clear($self, /)\n--\n\nRemove all headers.", |this, py| {
                this.ask(py, "clear")
            })
            .method(
                c"setdefault",
                c"setdefault($self, key, default, /)\n--\n\nThe value of a header, set if missing.",
                Self::setdefault,
            )
            .method(
                c"update",
                c"update($self, headers=(), /, **more)\n--\n\n\
                  Set several headers, or none if one is refused.",
                Self::update,
            )
            .method0(c"copy", c"copy($self, /)\n--\n\nA plain dict of them.", |this, py| {
                this.dict.bind(py).copy(py).map(Owned::into_any)
            });
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.held(&self.dict);
    }
}
