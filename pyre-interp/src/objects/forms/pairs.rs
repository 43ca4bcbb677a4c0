//! URL-encoded forms.

use pyre_ffi::module::ModuleObject;
use pyre_ffi::{Arguments, Attached, List, Object, Owned, Raised, Signature, Str, Tuple, none};
use pyre_http::form::{form_decoded, pairs};

use super::parser::{bytes, size};
use super::refusal::refusal;

const PAIRS: Signature<4> =
    Signature::all("form_pairs", ["data", "pairs_max", "name_bytes_max", "value_bytes_max"]);

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
