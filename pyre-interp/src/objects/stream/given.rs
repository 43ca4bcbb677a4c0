//! What programs give to streams: pieces, times, lengths.

use std::time::Duration;

use pyre_ffi::{Attached, Bytes, Dict, Float, Int, Kind, Object, Raised, Str};

use crate::objects::headers::spellings;
use crate::serialize::answer::append_bytes_like;

/// Reads the bytes of a piece, in UTF-8 if it is text.
pub(in crate::objects) fn with_bytes<R>(
    py: Attached<'_>,
    data: &Object,
    sender: &str,
    read: impl FnOnce(&[u8]) -> R,
) -> Result<R, Raised> {
    if let Some(text) = data.cast::<Str>() {
        return match text.as_ascii() {
            Some(text) => Ok(read(text.as_bytes())),
            None => Ok(read(text.view().to_string_lossy().as_bytes())),
        };
    }
    if let Some(bytes) = data.cast::<Bytes>() {
        return Ok(read(bytes.as_slice()));
    }
    if data.has_buffer() {
        let mut bytes = Vec::new();
        append_bytes_like(py, data, &mut bytes)?;
        return Ok(read(&bytes));
    }
    let text = format!("{sender} sends str and bytes, not {}", data.type_name());
    Err(Raised::type_error(py, &text))
}

/// A field of an event.
pub(in crate::objects) fn field(
    py: Attached<'_>,
    name: &str,
    value: Option<&Object>,
) -> Result<Option<String>, Raised> {
    let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(None) };
    match value.kind() {
        Kind::Str | Kind::Int => Ok(Some(value.str(py)?.view().to_string_lossy())),
        _ => {
            let text = format!("{name} must be a str, not {}", value.type_name());
            Err(Raised::type_error(py, &text))
        }
    }
}

/// A number of seconds, or None.
pub(in crate::objects) fn seconds_of(
    given: &Object,
    name: &str,
    py: Attached<'_>,
) -> Result<Option<f64>, Raised> {
    let seconds = match (given.cast::<Float>(), given.cast::<Int>()) {
        _ if given.is_none() => return Ok(None),
        (Some(number), _) => number.as_f64(),
        (None, Some(number)) => number.as_i64().map_or(f64::MAX, |number| number as f64),
        (None, None) => {
            let text = format!("{name} is a number of seconds, not {}", given.type_name());
            return Err(Raised::type_error(py, &text));
        }
    };
    if seconds.is_nan() || seconds < 0.0 {
        let text = format!("{name} is a number of seconds, 0 or more, not {seconds}");
        return Err(Raised::value_error(py, &text));
    }
    Ok(Some(seconds))
}

pub(super) fn milliseconds(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds)
        .map_or(u64::MAX, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// Takes `Content-Length` out of headers: of an answer in pieces the program may know it.
///
/// # Errors
/// `ValueError` if it is no number.
pub(crate) fn take_length(headers: &Object<Dict>, py: Attached<'_>) -> Result<Option<u64>, Raised> {
    let name = Str::intern(py, "Content-Length")?;
    let mut length = None;
    for spelling in spellings(headers, &name, py)? {
        let Some(value) = headers.get(&spelling, py)? else { continue };
        let number = value.str(py)?;
        let number =
            number.as_ascii().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number = number
            .and_then(|text| text.parse::<u64>().ok())
            .ok_or_else(|| Raised::value_error(py, "Content-Length is a number of bytes"))?;
        length = Some(number);
        headers.delete(&spelling, py)?;
    }
    Ok(length)
}
