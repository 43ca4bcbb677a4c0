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
    let bounds = [size(py, name_bytes_max.as_deref())?, size(py, value_bytes_max.as_deref())?];
    let (mut found, mut scratch) = (Vec::new(), Vec::new());
    for (name, value) in pairs(bytes(py, data.as_deref())?.as_slice()) {
        if found.len() == pairs_max {
            return Err(refusal(py, 413, &format!("the form has more than {pairs_max} fields")));
        }
        let mut pair = [none(py), none(py)];
        for (at, raw) in [name, value].into_iter().enumerate() {
            let decoded = form_decoded(raw, &mut scratch);
            if decoded.len() > bounds[at] {
                return Err(too_long(py, &pair, bounds[at]));
            }
            let Ok(text) = std::str::from_utf8(decoded) else {
                return Err(refusal(py, 400, "the form is not UTF-8"));
            };
            pair[at] = Str::new(py, text)?.into_any();
        }
        found.push(Tuple::new(py, pair)?.into_any());
    }
    List::from_vec(py, found).map(Owned::into_any)
}

/// What a client is told of a name, or of a value, whose name has been read.
#[cold]
fn too_long(py: Attached<'_>, pair: &[Owned<'_>; 2], bound: usize) -> Raised {
    match pair[0].cast::<Str>().map(|name| name.as_utf8(py)) {
        None => refusal(py, 413, &format!("a name in the form has more than {bound} bytes")),
        Some(Ok(name)) => {
            let name = name.escape_debug();
            refusal(py, 413, &format!("the field '{name}' of the form has more than {bound} bytes"))
        }
        Some(Err(raised)) => raised,
    }
}
