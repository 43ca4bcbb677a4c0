//! `FormSpool`: a temporary file without a name, for the files of a form that are too large for memory.
//!
//! They stand in it one behind the other, so that each form has one descriptor at most.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::fs::{File, OpenOptions, remove_file};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use pyre_ffi::{
    Arguments, Attached, Class, ClassSpec, ExceptionKind, Int, Object, Owned, Raised, Signature,
    Str, Tuple, Type, none,
};

use super::parser::{bytes, size};
use crate::objects::request_id;

const NEW: Signature<3> = Signature::all("FormSpool", ["folder", "flags", "waits"]);

/// How many names are tried for a file, where there is none without.
const NAMES_MAX: usize = 100;

/// The file, and what is to be written to it.
pub(crate) struct FormSpool {
    file: File,
    /// The folder that its disk was found by.
    folder: PathBuf,
    /// All that belongs into the file, written or not.
    bytes: Cell<u64>,
    /// What is not written before somebody says so.
    pending: RefCell<Vec<u8>>,
    /// Whether anything has to wait for that.
    waits: bool,
}

impl FormSpool {
    fn construct(
        py: Attached<'_>,
        given: Arguments<'_>,
        _class: &Object<Type>,
    ) -> Result<Self, Raised> {
        let [folder, flags, waits] = given.parse(&NEW, py)?;
        let Some(folder) = folder.and_then(|folder| folder.into_cast::<Str>()) else {
            return Err(Raised::type_error(py, "folder must be a str"));
        };
        let folder = PathBuf::from(folder.as_utf8(py)?);
        let flags = i32::try_from(size(py, flags.as_deref())?).unwrap_or(0);
        let waits = waits.expect("it is required").is_true(py)?;
        let opened = py.detach(|| open(&folder, flags));
        let file = opened.map_err(|error| os_error(py, &folder, &error))?;
        Ok(Self { file, folder, bytes: Cell::new(0), pending: RefCell::default(), waits })
    }

    /// Writes bytes behind the others, or has them wait for it.
    pub(super) fn append(&self, py: Attached<'_>, data: &[u8]) -> Result<(), Raised> {
        let at = self.bytes.get();
        self.bytes.set(at + data.len() as u64);
        if self.waits {
            self.pending.borrow_mut().extend_from_slice(data);
            return Ok(());
        }
        let file = &self.file;
        py.detach(|| file.write_all_at(data, at))
            .map_err(|error| os_error(py, &self.folder, &error))
    }

    fn append_bytes<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [data] = given.parse(&Signature::all("append", ["data"]), py)?;
        self.append(py, bytes(py, data.as_deref())?.as_slice())?;
        Ok(none(py))
    }

    /// `flush()`: writes what waits. Nothing may be appended meanwhile.
    fn flush<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let mut pending = self.pending.take();
        if !pending.is_empty() {
            let (file, at) = (&self.file, self.bytes.get() - pending.len() as u64);
            let written = py.detach(|| file.write_all_at(&pending, at));
            written.map_err(|error| os_error(py, &self.folder, &error))?;
            pending.clear();
            // Its room is for the next ones.
            self.pending.replace(pending);
        }
        Ok(none(py))
    }

    /// `release()`: nothing more is appended.
    fn release<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.flush(py)?;
        self.pending.take();
        Ok(none(py))
    }

    fn size<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Int::from_u64(py, self.bytes.get()).map(Owned::into_any)
    }

    fn pending_size<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Int::from_u64(py, self.pending.borrow().len() as u64).map(Owned::into_any)
    }

    fn fileno<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Int::new(py, self.file.as_raw_fd().into()).map(Owned::into_any)
    }
}

impl Class for FormSpool {
    const NAME: &'static CStr = c"pyreframework.engine.FormSpool";
    const DOC: &'static CStr = c"A temporary file without a name.";

    fn describe(spec: &mut ClassSpec<Self>) {
        spec.constructor(Self::construct)
            .getter(c"size", c"Its bytes, written or not.", Self::size)
            .getter(c"pending_size", c"Those that are not written yet.", Self::pending_size)
            .method(c"append", c"append($self, data)\n--\n\nAdd bytes.", Self::append_bytes)
            .method0(c"flush", c"flush($self)\n--\n\nWrite what waits.", Self::flush)
            .method0(
                c"release",
                c"release($self)\n--\n\nWrite what waits, the last.",
                Self::release,
            )
            .method0(c"fileno", c"fileno($self)\n--\n\nIts descriptor.", Self::fileno);
    }
}

/// A new file without a name: by the system if the flags that make one are known and the file system has
/// such files, or by taking its name away.
fn open(folder: &Path, flags: i32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    if flags != 0 {
        match options.clone().custom_flags(flags).open(folder) {
            // EOPNOTSUPP, EISDIR and EINVAL: there are none here.
            Err(error) if [Some(95), Some(21), Some(22)].contains(&error.raw_os_error()) => {}
            opened => return opened,
        }
    }
    for _ in 0..NAMES_MAX {
        let path = folder.join(format!("pyre-{}", request_id::next()));
        match options.clone().create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => return remove_file(&path).map(|()| file),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// An `OSError`, of the kind that its number stands for.
#[cold]
fn os_error(py: Attached<'_>, folder: &Path, error: &io::Error) -> Raised {
    let made = || {
        let number = Int::new(py, error.raw_os_error().unwrap_or(0).into())?.into_any();
        let text =
            Str::new(py, &format!("a temporary file in {}: {error}", folder.display()))?.into_any();
        Tuple::new(py, [number, text])
    };
    match made() {
        Ok(told) => Raised::with(py, &ExceptionKind::OSError.object(py), &told),
        Err(raised) => raised,
    }
}
