//! What the methods of `Server` are called with.

use pyre_ffi::{
    Arguments, Attached, Bytes, ExceptionKind, Float, Int, List, Object, Raised, Signature, Str,
    Tuple,
};

use crate::inbound::bind::Handed;
use crate::inbound::socket_file::FileId;
use crate::settings::parse_bind;
use crate::sys;

/// What workers load: texts, or nothing.
pub(super) fn read_program(
    py: Attached<'_>,
    program: &Object,
) -> Result<Option<Vec<String>>, Raised> {
    if program.is_none() {
        return Ok(None);
    }
    let wrong = || Raised::type_error(py, "program must be a list of str, or None");
    let list = program.cast::<List>().ok_or_else(wrong)?;
    let mut texts = Vec::with_capacity(list.len());
    while let Some(item) = list.get(texts.len(), py) {
        texts.push(item.cast::<Str>().ok_or_else(wrong)?.as_utf8(py)?.to_owned());
    }
    Ok(Some(texts))
}

/// Sockets from an address, its descriptors, which stay the caller's, and its file for each.
pub(super) fn read_handed(py: Attached<'_>, handed: &Object) -> Result<Vec<Handed>, Raised> {
    let wrong =
        || Raised::type_error(py, "handed must be a list of (bytes, list of int, str or None)");
    let list = handed.cast::<List>().ok_or_else(wrong)?;
    let mut entries = Vec::new();
    while let Some(item) = list.get(entries.len(), py) {
        let entry = item.cast::<Tuple>().ok_or_else(wrong)?;
        let &[address, numbers, file] = entry.items() else { return Err(wrong()) };
        let address = address.cast::<Bytes>().ok_or_else(wrong)?.as_slice();
        let numbers = numbers.cast::<List>().ok_or_else(wrong)?;
        let mut sockets = Vec::new();
        while let Some(number) = numbers.get(sockets.len(), py) {
            let number = number.cast::<Int>().and_then(|number| number.as_i64());
            let number = number.and_then(|number| number.try_into().ok()).ok_or_else(wrong)?;
            sockets.push(sys::duplicate(number).map_err(|error| {
                let text = format!("descriptor {number} was not handed over: {error}");
                Raised::new(py, ExceptionKind::OSError, &text)
            })?);
        }
        let file = match file.is_none() {
            true => None,
            false => {
                let text = file.cast::<Str>().ok_or_else(wrong)?.as_utf8(py)?;
                Some(FileId::parse(text).ok_or_else(wrong)?)
            }
        };
        entries.push(Handed { bind: parse_bind(address).ok_or_else(wrong)?, sockets, file });
    }
    Ok(entries)
}

/// The one argument of a method, in seconds.
pub(super) fn read_seconds(
    py: Attached<'_>,
    given: &Arguments<'_>,
    signature: &Signature<1>,
) -> Result<f64, Raised> {
    let [seconds] = given.parse(signature, py)?;
    to_seconds(py, &seconds.expect("the signature requires it"))
}

/// A number of seconds, whole or not.
pub(super) fn to_seconds(py: Attached<'_>, seconds: &Object) -> Result<f64, Raised> {
    if let Some(number) = seconds.cast::<Float>() {
        return Ok(number.as_f64());
    }
    let whole = seconds.cast::<Int>().and_then(|number| number.as_i64());
    whole
        .map(|number| number as f64)
        .ok_or_else(|| Raised::type_error(py, "seconds must be a number"))
}
