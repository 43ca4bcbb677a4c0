//! Header fields that a handler sets: checked, and kept as bytes until the head is written.
//!
//! Nothing that could end a line reaches the wire: a name is a token, a value has no CR, LF or NUL
//! (RFC 9110 section 5.5), and both are checked where the user sets them and again here.

use pyre_ffi::{Attached, Dict, List, Object, Raised, Str, Text, Tuple};
use pyre_http::header::{is_framing, is_name, is_single, is_value};

/// Fields of one answer, in order.
#[derive(Default)]
pub(crate) struct Fields {
    text: Vec<u8>,
    /// End of the name and end of the value in `text`, for each field.
    ends: Vec<(usize, usize)>,
    has_content_type: bool,
}

impl Fields {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.has_content_type = false;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether the user has named the type of the body among the fields.
    pub(crate) fn has_content_type(&self) -> bool {
        self.has_content_type
    }

    /// Names and values in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(name_end, end)| {
            let field = (&self.text[start..name_end], &self.text[name_end..end]);
            start = end;
            field
        })
    }

    /// Adds one field. Of a header that may stand only once the last one is sent.
    ///
    /// # Errors
    /// `ValueError` if it may not be sent.
    pub(crate) fn push(
        &mut self,
        name: &Object<Str>,
        value: &Object<Str>,
        py: Attached<'_>,
    ) -> Result<(), Raised> {
        let name = check_name(name, py)?;
        let value = check_value(name, value, py)?;
        if !self.ends.is_empty() && is_single(name) {
            self.remove(name);
        }
        self.has_content_type |= name.eq_ignore_ascii_case(b"content-type");
        self.text.extend_from_slice(name);
        let name_end = self.text.len();
        self.text.extend_from_slice(value);
        self.ends.push((name_end, self.text.len()));
        Ok(())
    }

    /// Takes out all fields of a name.
    #[cold]
    fn remove(&mut self, name: &[u8]) {
        let mut index = 0;
        let mut start = 0;
        while let Some(&(name_end, end)) = self.ends.get(index) {
            if !self.text[start..name_end].eq_ignore_ascii_case(name) {
                index += 1;
                start = end;
                continue;
            }
            self.text.drain(start..end);
            self.ends.remove(index);
            for later in &mut self.ends[index..] {
                later.0 -= end - start;
                later.1 -= end - start;
            }
        }
    }

    /// Adds a field of our own, unless the user has set one of this name.
    pub(crate) fn push_if_absent(&mut self, name: &[u8], value: &[u8]) {
        if !self.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            self.push_ours(name, value);
        }
    }

    /// Adds a field of our own beside those of this name.
    pub(crate) fn push_ours(&mut self, name: &[u8], value: &[u8]) {
        debug_assert!(is_name(name) && is_value(value));
        self.text.extend_from_slice(name);
        let name_end = self.text.len();
        self.text.extend_from_slice(value);
        self.ends.push((name_end, self.text.len()));
    }

    /// Adds a member to a field that is a list (RFC 9110 section 5.6.1), unless it has one of these.
    pub(crate) fn add_member(&mut self, name: &[u8], member: &[u8], unless: &[&[u8]]) {
        let mut last = None;
        for (index, (known, value)) in self.iter().enumerate() {
            if !known.eq_ignore_ascii_case(name) {
                continue;
            }
            let mut members = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
            if members.any(|it| unless.iter().any(|known| it.eq_ignore_ascii_case(known))) {
                return;
            }
            last = Some((index, value.trim_ascii().is_empty()));
        }
        let Some((index, is_empty)) = last else { return self.push_ours(name, member) };
        let end = self.ends[index].1;
        let added = [if is_empty { &b""[..] } else { b", " }, member].concat();
        self.text.splice(end..end, added.iter().copied());
        self.ends[index].1 += added.len();
        for later in &mut self.ends[index + 1..] {
            later.0 += added.len();
            later.1 += added.len();
        }
    }

    /// Adds the fields of others whose name is not there yet.
    #[cold]
    pub(crate) fn extend_by_absent(&mut self, others: &Self) {
        let known = self.ends.len();
        for (name, value) in others.iter() {
            if self.iter().take(known).any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                continue;
            }
            self.has_content_type |= name.eq_ignore_ascii_case(b"content-type");
            self.text.extend_from_slice(name);
            let name_end = self.text.len();
            self.text.extend_from_slice(value);
            self.ends.push((name_end, self.text.len()));
        }
    }

    /// Adds everything in a dict of headers; a value may be a list.
    ///
    /// # Errors
    /// `TypeError` or `ValueError` that names the header.
    pub(crate) fn extend(
        &mut self,
        headers: &Object<Dict>,
        py: Attached<'_>,
    ) -> Result<(), Raised> {
        visit(headers, py, |name, value| self.push(name, value, py))
    }
}

/// Checks a dict of headers without keeping anything.
///
/// # Errors
/// As [`Fields::extend`].
pub(crate) fn check(headers: &Object<Dict>, py: Attached<'_>) -> Result<(), Raised> {
    visit(headers, py, |name, value| check_one(name, value, py))
}

/// Checks one field.
///
/// # Errors
/// As [`Fields::push`].
pub(crate) fn check_one(
    name: &Object<Str>,
    value: &Object<Str>,
    py: Attached<'_>,
) -> Result<(), Raised> {
    let name = check_name(name, py)?;
    check_value(name, value, py).map(drop)
}

/// Checks one item of a dict of headers; the value may be a list.
///
/// # Errors
/// As [`Fields::extend`].
pub(crate) fn check_item(name: &Object, value: &Object, py: Attached<'_>) -> Result<(), Raised> {
    visit_item(name, value, py, &mut |name, value| check_one(name, value, py))
}

/// Whether two names are those of one header: case does not count (RFC 9110 section 5.1).
pub(crate) fn is_same_name(one: &Object<Str>, other: &Object<Str>) -> bool {
    match (latin1(one), latin1(other)) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => false,
    }
}

/// Whether a header may stand only once in an answer.
pub(crate) fn is_single_name(name: &Object<Str>) -> bool {
    latin1(name).is_some_and(is_single)
}

fn visit(
    headers: &Object<Dict>,
    py: Attached<'_>,
    mut each: impl FnMut(&Object<Str>, &Object<Str>) -> Result<(), Raised>,
) -> Result<(), Raised> {
    for item in headers.items(py) {
        let (name, value) = item?;
        visit_item(&name, &value, py, &mut each)?;
    }
    Ok(())
}

fn visit_item(
    name: &Object,
    value: &Object,
    py: Attached<'_>,
    each: &mut impl FnMut(&Object<Str>, &Object<Str>) -> Result<(), Raised>,
) -> Result<(), Raised> {
    let Some(name) = name.cast::<Str>() else {
        let text = format!("the name of a header must be a str, not {}", name.type_name());
        return Err(Raised::type_error(py, &text));
    };
    if let Some(value) = value.cast::<Str>() {
        each(name, value)?;
    } else if let Some(values) = value.cast::<List>() {
        let mut index = 0;
        while let Some(value) = values.get(index, py) {
            each(name, one_of_many(name, &value, py)?)?;
            index += 1;
        }
    } else if let Some(values) = value.cast::<Tuple>() {
        for value in values.items() {
            each(name, one_of_many(name, value, py)?)?;
        }
    } else {
        return Err(wrong_value(name, &value.type_name(), py));
    }
    Ok(())
}

fn one_of_many<'a>(
    name: &Object<Str>,
    value: &'a Object,
    py: Attached<'_>,
) -> Result<&'a Object<Str>, Raised> {
    value.cast::<Str>().ok_or_else(|| wrong_value(name, &value.type_name(), py))
}

#[cold]
fn wrong_value(name: &Object<Str>, type_name: &str, py: Attached<'_>) -> Raised {
    let name = String::from_utf8_lossy(latin1(name).unwrap_or(b"?"));
    let text =
        format!("the value of header {name:?} must be a str or a list of str, not {type_name}");
    Raised::type_error(py, &text)
}

/// The bytes of a text below U+0100, which is what a field may carry.
fn latin1(text: &Object<Str>) -> Option<&[u8]> {
    match text.view() {
        Text::Ascii(text) => Some(text.as_bytes()),
        Text::Latin1(bytes) => Some(bytes),
        Text::Ucs2(_) | Text::Ucs4(_) => None,
    }
}

fn check_name<'a>(name: &'a Object<Str>, py: Attached<'_>) -> Result<&'a [u8], Raised> {
    let bytes = latin1(name).unwrap_or_default();
    if !is_name(bytes) {
        let shown = String::from_utf8_lossy(bytes);
        let text = format!(
            "{shown:?} is not the name of a header: letters, digits and !#$%&'*+-.^_`|~ only"
        );
        return Err(Raised::value_error(py, &text));
    }
    // The server frames messages and stamps them itself; a second field would contradict it.
    let is_stamp = bytes.eq_ignore_ascii_case(b"date") || bytes.eq_ignore_ascii_case(b"server");
    if is_framing(bytes) || is_stamp {
        let shown = String::from_utf8_lossy(bytes);
        let text = format!("header {shown:?} is set by the server and cannot be set by a handler");
        return Err(Raised::value_error(py, &text));
    }
    Ok(bytes)
}

/// Checks the value of a header.
///
/// # Errors
/// `ValueError` if it may not be sent.
pub(crate) fn check_value<'a>(
    name: &[u8],
    value: &'a Object<Str>,
    py: Attached<'_>,
) -> Result<&'a [u8], Raised> {
    match latin1(value) {
        Some(bytes) if is_value(bytes) => Ok(bytes),
        _ => {
            let name = String::from_utf8_lossy(name);
            let text = format!(
                "the value of header {name:?} has a character that may not be sent: CR, LF, NUL, \
                 another control, or one above U+00FF"
            );
            Err(Raised::value_error(py, &text))
        }
    }
}
