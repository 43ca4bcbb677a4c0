//! One file as it is sent: its fields, put together once, and its bytes if they are few.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use pyre_http::date::imf_fixdate;
use pyre_http::files::answer::{self, Representation};
use pyre_http::files::coding::Coding;
use pyre_http::files::condition::Validators;
use pyre_http::files::media_type;

use crate::settings::bounds::SMALL_FILE_BYTES_MAX;
use crate::sys::{self, Patience};

/// By what a file is known to be the same, and not changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Where the bytes of a version are.
pub(crate) enum Content {
    /// Behind its fields in `ready`, from there on.
    Small(usize),
    /// In the file alone.
    Large,
}

/// One version of a file: as it is, or encoded.
pub(crate) struct Version {
    /// What it is called below its folder.
    pub(crate) name: Vec<u8>,
    pub(crate) stamp: Stamp,
    /// It may have changed since it was read without showing that: it was changed just before.
    is_fresh: bool,
    etag: Vec<u8>,
    modified_s: u64,
    content_type: String,
    kept: Vec<u8>,
    described: Vec<u8>,
    /// All fields but those of the server, the end of the head, and the body if it is small.
    pub(crate) ready: Vec<u8>,
    pub(crate) content: Content,
}

/// What is said of all versions of a file.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    /// By which its content type is known.
    pub(crate) name: &'a [u8],
    pub(crate) cache_control: Option<&'a str>,
    /// Not all clients get the same version.
    pub(crate) varies: bool,
    pub(crate) now_s: u64,
}

/// How often a small file is read that changes meanwhile.
const ATTEMPTS_MAX: usize = 3;

impl Version {
    /// Puts together what is sent of an open file; `before` is what was found under this name earlier.
    ///
    /// # Errors
    /// What reading reports; `WouldBlock` if that would have to wait.
    pub(crate) fn read(
        name: Vec<u8>,
        file: &File,
        metadata: Metadata,
        coding: Option<Coding>,
        terms: Terms<'_>,
        before: Option<&Arc<Self>>,
        patience: Patience,
    ) -> io::Result<Arc<Self>> {
        let mut stamp = Stamp::of(&metadata);
        if let Some(before) = before
            && before.stamp == stamp
            && !before.is_fresh
            && before.varies() == terms.varies
        {
            return Ok(before.clone());
        }
        let mut body = None;
        for _ in 0..ATTEMPTS_MAX {
            if stamp.size > SMALL_FILE_BYTES_MAX {
                break;
            }
            let bytes = read_all(file, stamp.size as usize, patience)?;
            let now = Stamp::of(&file.metadata()?);
            if now == stamp && bytes.len() as u64 == stamp.size {
                body = Some(bytes);
                break;
            }
            stamp = now;
        }
        Ok(Arc::new(Self::new(name, stamp, coding, terms, body)))
    }

    fn new(
        name: Vec<u8>,
        stamp: Stamp,
        coding: Option<Coding>,
        terms: Terms<'_>,
        body: Option<Vec<u8>>,
    ) -> Self {
        // RFC 9110 section 8.8.2.1: it is not later than the answer.
        let modified_s = u64::try_from(stamp.modified.0).unwrap_or(0).min(terms.now_s);
        let content_type = media_type::of_name(&String::from_utf8_lossy(terms.name));
        let mut etag = answer::etag(stamp.modified, stamp.size);
        if let Some(coding) = coding {
            etag.insert_str(etag.len() - 1, &format!("-{}", coding.token()));
        }
        let mut kept = format!("\r\nETag: {etag}");
        if let Some(cache_control) = terms.cache_control {
            kept = kept + "\r\nCache-Control: " + cache_control;
        }
        if terms.varies {
            kept += "\r\nVary: Accept-Encoding";
        }
        let date = imf_fixdate(modified_s);
        let mut described =
            format!("\r\nLast-Modified: {}", str::from_utf8(&date).expect("dates are ASCII"));
        described += "\r\nAccept-Ranges: bytes\r\nX-Content-Type-Options: nosniff";
        if let Some(coding) = coding {
            described = described + "\r\nContent-Encoding: " + coding.token();
        }
        let mut ready = format!(
            "\r\nContent-Type: {content_type}{kept}{described}\r\nContent-Length: {}\r\n\r\n",
            stamp.size
        )
        .into_bytes();
        let content = match body {
            Some(body) => {
                let at = ready.len();
                ready.extend_from_slice(&body);
                Content::Small(at)
            }
            None => Content::Large,
        };
        Self {
            name,
            stamp,
            // What is later than a second ago: the clock of a file system may be as coarse as that.
            is_fresh: stamp.changed.0 + 1 >= i64::try_from(terms.now_s).unwrap_or(i64::MAX),
            etag: etag.into_bytes(),
            modified_s,
            content_type,
            kept: kept.into_bytes(),
            described: described.into_bytes(),
            ready,
            content,
        }
    }

    fn varies(&self) -> bool {
        self.kept.ends_with(b"Accept-Encoding")
    }

    pub(crate) fn size(&self) -> u64 {
        self.stamp.size
    }

    /// The bytes of a small one.
    pub(crate) fn body(&self) -> Option<&[u8]> {
        match self.content {
            Content::Small(at) => Some(&self.ready[at..]),
            Content::Large => None,
        }
    }

    pub(crate) fn representation(&self) -> Representation<'_> {
        Representation {
            size: self.stamp.size,
            validators: Validators { etag: &self.etag, modified_s: self.modified_s },
            content_type: self.content_type.as_bytes(),
            kept: &self.kept,
            described: &self.described,
        }
    }
}

/// Reads a small file; it may have become shorter meanwhile, or longer, of which one byte tells.
fn read_all(file: &File, bytes: usize, patience: Patience) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; bytes + 1];
    let mut filled = 0;
    while filled <= bytes {
        let (rest, at) = (&mut buffer[filled..], filled as u64);
        let read = match patience {
            Patience::Now => sys::read_now(file, rest, at),
            Patience::Wait => file.read_at(rest, at),
        };
        match read {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(buffer)
}
