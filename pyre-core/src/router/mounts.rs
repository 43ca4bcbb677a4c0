//! Folders whose files are served, and which of them a path belongs to: the longest prefix.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use pyre_http::files::path::{behind_prefix, relative};

/// Folders of one app: they are asked one after the other.
const MOUNTS_MAX: usize = 256;

/// A folder that is served.
#[derive(Clone, Debug)]
pub struct Mount {
    /// What stands in front of the names of its files, without a slash at the end; empty for the whole
    /// server.
    pub prefix: Box<str>,
    /// How metrics and the access log call it.
    pub label: Box<str>,
    /// Where it is.
    pub directory: PathBuf,
    /// What is shown of a folder; empty for nothing.
    pub index: Box<str>,
    /// The value of `Cache-Control`.
    pub cache_control: Option<Box<str>>,
    /// `/about` stands for `about.html`, and `404.html` for what is not there.
    pub html: bool,
    /// What is shown in place of what is not there; empty for nothing.
    pub spa: Box<str>,
    /// Links may lead out of it.
    pub follows_links: bool,
    /// The file system where it was when it was last looked at, and where that is mounted, if that is known
    /// to be one of this machine: from another one nobody may read who must not wait.
    pub local: Arc<Mutex<Option<(u64, u64)>>>,
}

/// What a path asks of a folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked<'text> {
    /// A file by its name, or what stands for it.
    File(&'text [u8]),
    /// A folder in it, or itself if the name is empty.
    Folder(&'text [u8]),
    /// The folder itself, without the slash at the end.
    Itself,
    /// Nothing that it could have.
    Nothing,
}

impl Mount {
    /// What a path has behind the prefix, if it begins with that: whole segments of it, which may be encoded
    /// as the name of a file may. Otherwise another spelling of a name would be asked of another folder.
    #[inline]
    fn behind_prefix<'text>(&self, path: &'text [u8]) -> Option<&'text [u8]> {
        let rest = behind_prefix(path, self.prefix.as_bytes())?;
        matches!(rest, [] | [b'/', ..]).then_some(rest)
    }

    /// What a path asks for that begins with the prefix.
    #[inline]
    pub fn asked<'text>(&self, path: &'text [u8], scratch: &'text mut Vec<u8>) -> Asked<'text> {
        let Some([b'/', raw @ ..]) = self.behind_prefix(path) else { return Asked::Itself };
        match relative(raw, scratch) {
            Some(found) if found.is_folder => Asked::Folder(found.path),
            Some(found) => Asked::File(found.path),
            None => Asked::Nothing,
        }
    }
}

/// Why a folder is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MountError {
    /// The prefix has been given away.
    Taken(Box<str>),
    /// There are too many.
    TooMany,
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(prefix) => write!(f, "another folder is served below {prefix:?} already"),
            Self::TooMany => write!(f, "there are too many folders (at most {MOUNTS_MAX})"),
        }
    }
}

/// All folders of an app.
#[derive(Clone, Default, Debug)]
pub struct Mounts {
    /// In the order of registration.
    all: Vec<Mount>,
    /// Their numbers, those with the longest prefix first.
    order: Vec<u32>,
}

impl Mounts {
    /// Adds a folder; returns its number.
    ///
    /// # Errors
    /// If there is one of this prefix, or there are too many.
    pub fn add(&mut self, mount: Mount) -> Result<u32, MountError> {
        if self.all.iter().any(|other| other.prefix == mount.prefix) {
            return Err(MountError::Taken(mount.label));
        }
        if self.all.len() == MOUNTS_MAX {
            return Err(MountError::TooMany);
        }
        let number = u32::try_from(self.all.len()).expect("MOUNTS_MAX fits");
        self.all.push(mount);
        self.order.push(number);
        self.order.sort_by_key(|&each| std::cmp::Reverse(self.all[each as usize].prefix.len()));
        Ok(number)
    }

    /// The folder that a path belongs to.
    #[inline]
    pub fn find(&self, path: &[u8]) -> Option<u32> {
        self.order
            .iter()
            .copied()
            .find(|&number| self.all[number as usize].behind_prefix(path).is_some())
    }

    /// The folder of this number, which this gave out.
    pub fn get(&self, number: u32) -> &Mount {
        &self.all[number as usize]
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(prefix: &str) -> Mount {
        Mount {
            prefix: prefix.into(),
            label: prefix.into(),
            directory: PathBuf::new(),
            index: "index.html".into(),
            cache_control: None,
            html: false,
            spa: "".into(),
            follows_links: false,
            local: Arc::default(),
        }
    }

    #[test]
    fn the_longest_prefix_has_it() {
        let mut mounts = Mounts::default();
        assert_eq!(mounts.find(b"/"), None);
        for prefix in ["/a", "", "/a/b"] {
            mounts.add(mount(prefix)).unwrap();
        }
        for (path, expected) in [
            (&b"/"[..], Some(1)),
            (b"/x", Some(1)),
            (b"/a", Some(0)),
            (b"/a/", Some(0)),
            (b"/a/x", Some(0)),
            (b"/ab", Some(1)),
            (b"/a/b", Some(2)),
            (b"/a/b/c", Some(2)),
            (b"/a/bc", Some(0)),
            (b"*", None),
            // However it is spelled, it is the same folder.
            (b"/%61", Some(0)),
            (b"/%61/%62/c", Some(2)),
            (b"/a/%62", Some(2)),
            (b"/%61b", Some(1)),
            (b"/a%2fb/c", Some(1)),
            (b"/%2561/x", Some(1)),
            (b"/%6", Some(1)),
            (b"/%", Some(1)),
        ] {
            assert_eq!(mounts.find(path), expected, "{path:?}");
        }
        assert_eq!(mounts.add(mount("/a")), Err(MountError::Taken("/a".into())));
    }

    #[test]
    fn what_is_asked_for() {
        for (prefix, path, expected) in [
            ("/a", &b"/a"[..], Asked::Itself),
            ("/a", b"/a/", Asked::Folder(b"")),
            ("/a", b"/a/b", Asked::File(b"b")),
            ("/a", b"/a/b/", Asked::Folder(b"b")),
            ("/a", b"/a//b", Asked::Nothing),
            ("/a", b"/a/../b", Asked::Nothing),
            ("/a", b"/%61", Asked::Itself),
            ("/a", b"/%61/%62", Asked::File(b"b")),
            ("/~a", b"/%7Ea/", Asked::Folder(b"")),
            ("", b"/", Asked::Folder(b"")),
            ("", b"/b%20c", Asked::File(b"b c")),
            ("", b"//b", Asked::Nothing),
        ] {
            assert_eq!(mount(prefix).asked(path, &mut Vec::new()), expected, "{path:?}");
        }
    }
}
