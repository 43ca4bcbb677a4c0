//! What Python calls: whether an app may say this of pages elsewhere.

use pyre_ffi::module::ModuleObject;
use pyre_ffi::{
    Arguments, Attached, List, ModuleBuilder, Object, Owned, Raised, Signature, Str, none,
};
use pyre_http::cors::Cors;

const CHECK_CORS: Signature<1> = Signature::all("check_cors", ["lines"]);

/// Adds the function to the module.
pub(crate) fn add(module: &ModuleBuilder<'_>) -> Result<(), Raised> {
    module.function(
        c"check_cors",
        c"check_cors(lines)\n--\n\n\
          Raise ValueError unless these can be served: a name each and, behind a space, its value.",
        check_cors,
    )
}

fn check_cors<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [lines] = given.parse(&CHECK_CORS, py)?.map(|one| one.expect("the signature requires it"));
    let wrong = || Raised::type_error(py, "check_cors() needs a list of str");
    let lines = lines.cast::<List>().ok_or_else(wrong)?;
    let mut texts = Vec::with_capacity(lines.len());
    while let Some(line) = lines.get(texts.len(), py) {
        texts.push(line.cast::<Str>().ok_or_else(wrong)?.as_utf8(py)?.to_owned());
    }
    match Cors::parse(texts.iter().map(String::as_str)) {
        Ok(_) => Ok(none(py)),
        Err(error) => Err(Raised::value_error(py, &error)),
    }
}
