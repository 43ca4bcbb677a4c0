//! What Python calls: whether these are hosts that an app may be asked for.

use pyre_ffi::module::ModuleObject;
use pyre_ffi::{
    Arguments, Attached, List, ModuleBuilder, Object, Owned, Raised, Signature, Str, none,
};
use pyre_http::hosts::Hosts;

const CHECK_HOSTS: Signature<1> = Signature::all("check_hosts", ["hosts"]);

/// Adds the function to the module.
pub(crate) fn add(module: &ModuleBuilder<'_>) -> Result<(), Raised> {
    module.function(
        c"check_hosts",
        c"check_hosts(hosts)\n--\n\n\
          Raise ValueError unless each is a host, a name below which all are, or a network.",
        check_hosts,
    )
}

fn check_hosts<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [hosts] = given.parse(&CHECK_HOSTS, py)?.map(|one| one.expect("the signature requires it"));
    let wrong = || Raised::type_error(py, "check_hosts() needs a list of str");
    let hosts = hosts.cast::<List>().ok_or_else(wrong)?;
    let mut texts = Vec::with_capacity(hosts.len());
    while let Some(host) = hosts.get(texts.len(), py) {
        texts.push(host.cast::<Str>().ok_or_else(wrong)?.as_utf8(py)?.to_owned());
    }
    match Hosts::parse(texts.iter().map(String::as_str)) {
        Ok(_) => Ok(none(py)),
        Err(error) => Err(Raised::value_error(py, &error)),
    }
}
