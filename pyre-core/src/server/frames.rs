//! What `sys._current_frames` is while workers run: the frames of one interpreter.

use pyre_ffi::module::ModuleObject;
use pyre_ffi::{
    Arguments, Attached, Dict, Int, ModuleBuilder, Object, Owned, Raised, Signature,
    frames_of_threads,
};

const CURRENT_FRAMES: Signature<0> = Signature::all("current_frames", []);

/// Adds the function to the module.
pub(crate) fn add(module: &ModuleBuilder<'_>) -> Result<(), Raised> {
    module.function(
        c"current_frames",
        c"current_frames()\n--\n\n\
          The topmost frame of each thread that runs this interpreter, by thread identifier.",
        current_frames,
    )
}

fn current_frames<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [] = given.parse(&CURRENT_FRAMES, py)?;
    let frames = frames_of_threads(py).ok_or_else(|| {
        Raised::runtime_error(
            py,
            "sys._current_frames() would show frames of other interpreters, and on this version of \
             CPython Pyre cannot tell which threads are this one's",
        )
    })?;
    let by_ident = Dict::new(py)?;
    for (ident, frame) in frames {
        by_ident.set(&*Int::from_u64(py, ident)?, &*frame, py)?;
    }
    Ok(by_ident.into_any())
}
