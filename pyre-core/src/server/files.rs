//! Files that handlers answer with.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use pyre_ffi::module::ModuleObject;
use pyre_ffi::{
    Arguments, Attached, ExceptionKind, Int, ModuleBuilder, Object, Owned, Raised, Signature, Str,
};
use pyre_interp::flow::OpenFile;
use pyre_interp::objects::file::FileBody;

use crate::server::engine::Engine;
use crate::sys;

const FILE_BODY: Signature<2> = Signature::all("file_body", ["descriptor", "name"]);

/// Adds the function to the module.
pub(crate) fn add(module: &ModuleBuilder<'_>) -> Result<(), Raised> {
    module.function(
        c"file_body",
        c"file_body(descriptor, name)\n--\n\n\
          What is open as descriptor, which stays the caller's, as the body of a response.",
        file_body,
    )
}

fn file_body<'py>(
    module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [descriptor, name] = given.parse(&FILE_BODY, py)?;
    let number = descriptor.as_ref().and_then(|it| it.cast::<Int>()).and_then(|it| it.as_i64());
    let number = number.and_then(|number| i32::try_from(number).ok());
    let (Some(number), Some(name)) = (number, name.and_then(|name| name.into_cast::<Str>())) else {
        return Err(Raised::type_error(py, "file_body() takes a descriptor and a str"));
    };
    let name = name.into_utf8(py)?;
    let opened = py.detach(|| {
        let file = File::from(sys::duplicate(number)?);
        let metadata = file.metadata()?;
        let is_local = sys::is_local(&file);
        Ok::<_, std::io::Error>((OpenFile::new(file, is_local), metadata))
    });
    let (file, metadata) = opened.map_err(|error| {
        Raised::new(py, ExceptionKind::OSError, &format!("no descriptor: {error}"))
    })?;
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    let class = &module.state::<Engine>(py)?.toolkit.file;
    FileBody::make(py, class, file, metadata.size(), modified, name)
}
