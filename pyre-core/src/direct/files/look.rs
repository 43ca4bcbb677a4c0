//! What is there under a name: opened below its folder and read, on a reactor as long as that waits for
//! nothing, else on a thread that may.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use pyre_http::files::coding::Coding;
use pyre_interp::flow::OpenFile;

use crate::direct::files::version::{Stamp, Terms, Version};
use crate::router::Mount;
use crate::sys::{self, Patience};

/// What is looked for in a folder.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Wanted {
    File(Vec<u8>),
    Folder(Vec<u8>),
    /// The page in place of what is not there.
    Instead,
}

/// All versions of a file: those with a coding by its index, the last one as it is.
pub(crate) type Versions = [Option<Arc<Version>>; Coding::ALL.len() + 1];

/// The place of a file as it is among its versions.
pub(crate) const PLAIN: usize = Coding::ALL.len();

/// A file that is there.
pub(crate) struct Found {
    pub(crate) versions: Versions,
    /// 200, or that of a page in place of what is not there.
    pub(crate) status: u16,
}

/// What came of looking.
pub(crate) enum Outcome {
    /// It is there; with what is open of those that are large.
    File(Arc<Found>, [Option<Arc<OpenFile>>; Coding::ALL.len() + 1]),
    /// It is a folder that has something to show, and the request lacks the slash.
    Folder,
    /// Nothing that anybody is to see.
    Missing,
    /// The system has no room for it now.
    Busy,
    /// It is there and cannot be read.
    Broken,
}

/// What is looked up on another thread.
#[derive(Default)]
pub(crate) struct Look {
    outcome: Mutex<Option<Outcome>>,
    /// It is the page in place of what is not there.
    pub(crate) is_instead: bool,
}

impl Look {
    pub(crate) fn new(is_instead: bool) -> Self {
        Self { outcome: Mutex::default(), is_instead }
    }

    /// Leaves what was found.
    pub(crate) fn put(&self, outcome: Outcome) {
        *self.outcome.lock() = Some(outcome);
    }

    /// Takes what was found, if that is so by now.
    pub(crate) fn take(&self) -> Option<Outcome> {
        self.outcome.lock().take()
    }
}

/// It would have to wait.
pub(crate) struct MustWait;

/// Looks for a file and its siblings; `before` is what was found there earlier.
pub(crate) fn look(
    mount: &Mount,
    wanted: &Wanted,
    before: Option<&Found>,
    now_s: u64,
    patience: Patience,
) -> Result<Outcome, MustWait> {
    match look_inside(mount, wanted, before, now_s, patience) {
        Ok(outcome) => Ok(outcome),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && patience == Patience::Now => {
            Err(MustWait)
        }
        Err(error) => Ok(match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => Outcome::Busy,
            Some(libc::EIO | libc::ESTALE) => Outcome::Broken,
            // Not there, or not for us: nobody is to learn which.
            _ if error.kind() == io::ErrorKind::WouldBlock => Outcome::Busy,
            _ => Outcome::Missing,
        }),
    }
}

/// A folder that is open, and how it is gone through.
struct Root<'a> {
    folder: OwnedFd,
    mount: &'a Mount,
    patience: Patience,
}

/// What a name stands for.
enum Opened {
    File(File, Metadata),
    Folder,
    Other,
}

impl<'a> Root<'a> {
    /// Opens the folder. Who must not wait only does so where its file system is known to be one of this
    /// machine, by somebody who has waited for it.
    fn open_of(mount: &'a Mount, patience: Patience) -> io::Result<Self> {
        let folder = sys::open_folder(&mount.directory, patience)?;
        let place = sys::place(&folder);
        match patience {
            Patience::Now if place.is_none() || *mount.local.lock() != place => {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Patience::Now => {}
            Patience::Wait => {
                let is_local = sys::is_local(&folder);
                *mount.local.lock() = place.filter(|_| is_local);
            }
        }
        Ok(Self { folder, mount, patience })
    }

    /// Opens what is there; nothing if there is none, or it is not to be seen.
    fn open(&self, name: &[u8]) -> io::Result<Option<Opened>> {
        let opened = sys::open_below(&self.folder, name, self.mount.follows_links, self.patience);
        let file = match opened {
            Ok(file) => file,
            Err(error) => match error.raw_os_error() {
                Some(
                    libc::ENOENT
                    | libc::ENOTDIR
                    | libc::EACCES
                    | libc::EPERM
                    | libc::ELOOP
                    | libc::EXDEV
                    | libc::ENXIO
                    | libc::ENAMETOOLONG
                    | libc::ENODEV,
                ) => return Ok(None),
                _ => return Err(error),
            },
        };
        let metadata = file.metadata()?;
        Ok(Some(match () {
            () if metadata.is_file() => Opened::File(file, metadata),
            () if metadata.is_dir() => Opened::Folder,
            () => Opened::Other,
        }))
    }

    fn open_file(&self, name: &[u8]) -> io::Result<Option<(File, Metadata)>> {
        Ok(match self.open(name)? {
            Some(Opened::File(file, metadata)) => Some((file, metadata)),
            _ => None,
        })
    }
}

fn look_inside(
    mount: &Mount,
    wanted: &Wanted,
    before: Option<&Found>,
    now_s: u64,
    patience: Patience,
) -> io::Result<Outcome> {
    let root = Root::open_of(mount, patience)?;
    let (name, opened, status) = match wanted {
        Wanted::File(name) => match root.open(name)? {
            Some(Opened::File(file, metadata)) => (name.clone(), Some((file, metadata)), 200),
            Some(Opened::Folder) => {
                let has_index = !mount.index.is_empty()
                    && root.open_file(&index_of(name, &mount.index))?.is_some();
                match has_index {
                    true => return Ok(Outcome::Folder),
                    false if !mount.html => return Ok(Outcome::Missing),
                    // A page may have a folder of its name beside it.
                    false => {
                        let name = [name, &b".html"[..]].concat();
                        let opened = root.open_file(&name)?;
                        (name, opened, 200)
                    }
                }
            }
            None if mount.html => {
                let name = [name, &b".html"[..]].concat();
                let opened = root.open_file(&name)?;
                (name, opened, 200)
            }
            Some(Opened::Other) | None => return Ok(Outcome::Missing),
        },
        Wanted::Folder(_) if mount.index.is_empty() => return Ok(Outcome::Missing),
        Wanted::Folder(name) => {
            let name = index_of(name, &mount.index);
            let opened = root.open_file(&name)?;
            (name, opened, 200)
        }
        Wanted::Instead if !mount.spa.is_empty() => {
            let name = mount.spa.as_bytes().to_vec();
            let opened = root.open_file(&name)?;
            (name, opened, 200)
        }
        Wanted::Instead => {
            let name = b"404.html".to_vec();
            let opened = root.open_file(&name)?;
            (name, opened, 404)
        }
    };
    let Some(plain) = opened else { return Ok(Outcome::Missing) };
    let mut all: [Option<(File, Metadata)>; PLAIN + 1] = Default::default();
    for coding in Coding::ALL {
        let sibling = [&name[..], coding.extension().as_bytes()].concat();
        all[coding.index()] = root.open_file(&sibling)?;
    }
    let varies = all.iter().any(Option::is_some);
    all[PLAIN] = Some(plain);
    // What stands for many names, or for none, is asked for again.
    let cache_control = match wanted {
        Wanted::Instead => mount.cache_control.as_ref().map(|_| "no-cache"),
        _ => mount.cache_control.as_deref(),
    };
    let terms = Terms { name: &name, cache_control, varies, now_s };
    let mut versions = Versions::default();
    let mut files: [Option<Arc<OpenFile>>; PLAIN + 1] = Default::default();
    for (index, opened) in all.into_iter().enumerate() {
        let Some((file, metadata)) = opened else { continue };
        let coding = Coding::ALL.get(index).copied();
        let extension = coding.map_or("", Coding::extension);
        let own_name = [&name[..], extension.as_bytes()].concat();
        let before = before.and_then(|before| before.versions[index].as_ref());
        let before = before.filter(|before| before.name == own_name);
        let version = Version::read(own_name, &file, metadata, coding, terms, before, patience)?;
        if version.body().is_none() {
            // Without waiting nobody comes to another file system than the folder's.
            let is_local = patience == Patience::Now || sys::is_local(&file);
            files[index] = Some(Arc::new(OpenFile::new(file, is_local)));
        }
        versions[index] = Some(version);
    }
    Ok(Outcome::File(Arc::new(Found { versions, status }), files))
}

/// Opens a large version again; nothing if it is not the same any more, or that would have to wait.
pub(crate) fn open_again(mount: &Mount, version: &Version) -> Option<Arc<OpenFile>> {
    let root = Root::open_of(mount, Patience::Now).ok()?;
    let (file, metadata) = root.open_file(&version.name).ok()??;
    (Stamp::of(&metadata) == version.stamp).then(|| Arc::new(OpenFile::new(file, true)))
}

fn index_of(folder: &[u8], index: &str) -> Vec<u8> {
    match folder {
        [] => index.as_bytes().to_vec(),
        _ => [folder, b"/", index.as_bytes()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(directory: &str) -> Mount {
        Mount {
            prefix: "".into(),
            label: "/".into(),
            directory: directory.into(),
            index: "".into(),
            cache_control: None,
            html: false,
            spa: "".into(),
            follows_links: false,
            local: Arc::default(),
        }
    }

    fn finds(mount: &Mount, name: &str, patience: Patience) -> Option<bool> {
        let wanted = Wanted::File(name.as_bytes().to_vec());
        let found = look(mount, &wanted, None, 0, patience).ok()?;
        Some(matches!(found, Outcome::File(..)))
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_not_known_to_lie_on_a_disk_of_this_machine_is_for_those_who_may_wait() {
        let kernel = mount("/proc/sys/kernel");
        for _ in 0..2 {
            assert_eq!(finds(&kernel, "ostype", Patience::Now), None);
            assert_eq!(finds(&kernel, "ostype", Patience::Wait), Some(true));
        }
        // Below it there is another file system.
        let root = mount("/");
        assert_eq!(finds(&root, "proc/sys/kernel/ostype", Patience::Wait), Some(true));
        assert_eq!(finds(&root, "proc/sys/kernel/ostype", Patience::Now), None);
    }

    #[test]
    fn a_disk_of_this_machine_is_known_once_somebody_has_waited_for_it() {
        let name = format!("pyre-looked-{}", std::process::id());
        let folder = std::env::temp_dir();
        std::fs::write(folder.join(&name), "a").unwrap();
        let mount = mount(folder.to_str().unwrap());
        assert_eq!(finds(&mount, &name, Patience::Now), None);
        assert_eq!(finds(&mount, &name, Patience::Wait), Some(true));
        let is_known = mount.local.lock().is_some();
        // Not every system tells what it has in memory.
        let found = finds(&mount, &name, Patience::Now);
        assert!(found == Some(true) && is_known || found.is_none(), "{found:?} {is_known}");
        std::fs::remove_file(folder.join(name)).unwrap();
    }
}
