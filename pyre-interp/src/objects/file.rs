//! A file as the body of a response: open, and described. `send_file` makes it.

use std::ffi::CStr;
use std::sync::Arc;

use pyre_ffi::{Attached, Class, ClassHandle, ClassSpec, Int, Owned, Raised, Visitor};
use pyre_http::files::media_type;

use crate::flow::OpenFile;

/// A file that is to be sent, whatever becomes of its name.
#[derive(Clone)]
pub struct FileBody {
    pub(crate) file: Arc<OpenFile>,
    /// In bytes, when it was opened: no more are sent.
    pub(crate) size: u64,
    /// When it was changed, in seconds since 1970, and nanoseconds behind that.
    pub(crate) modified: (i64, i64),
    /// By what its name ends with.
    pub(crate) content_type: String,
}

impl FileBody {
    /// An open file, of which that is known.
    ///
    /// # Errors
    /// Whatever Python raises on the way.
    pub fn make<'py>(
        py: Attached<'py>,
        class: &ClassHandle<Self>,
        file: OpenFile,
        size: u64,
        modified: (i64, i64),
        name: &str,
    ) -> Result<Owned<'py>, Raised> {
        let content_type = media_type::of_name(name);
        let body = Self { file: Arc::new(file), size, modified, content_type };
        pyre_ffi::Instance::new(py, class, body).map(Owned::into_any)
    }

    fn size<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Int::new(py, i64::try_from(self.size).unwrap_or(i64::MAX)).map(Owned::into_any)
    }
}

impl Class for FileBody {
    const NAME: &'static CStr = c"pyreframework.engine.FileBody";
    const DOC: &'static CStr = c"An open file as the body of a response; see send_file().";

    fn describe(spec: &mut ClassSpec<Self>) {
        spec.getter(c"size", c"Its bytes.", Self::size);
    }

    fn traverse(&self, _visitor: &mut Visitor<'_>) {}

    fn clear(&self, _py: Attached<'_>) {}
}
