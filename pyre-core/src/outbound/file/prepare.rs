//! The part of a file that comes next, without waiting for a disk: in memory, or read by a thread that may
//! wait.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use parking_lot::Mutex;
use pyre_http::files::answer::Piece;
use pyre_interp::flow::{Fetched, Transfer};
use pyre_interp::job::ConnectionId;

use crate::connection::table::Connections;
use crate::direct::files::pool::Full;
use crate::settings::bounds::{FILE_COPY_BYTES, FILE_PROBE_BYTES, FILE_WARM_BYTES};
use crate::sys;

/// What can be done with the part that comes next.
pub(super) enum Prepared {
    /// It is in memory: it can be sent from the file.
    Sendable,
    /// A thread reads it that may wait, or will once there is room for that; the mailbox will tell.
    Later,
    /// These are its bytes, as far as they were read; none if the file ends there.
    Read(Vec<u8>),
    /// It cannot be read.
    Broken(io::Error),
}

/// Has a part of a file read by a thread that may wait for it, unless it is in memory as far as that shows.
pub(super) fn prepare(
    connections: &Connections,
    transfer: &mut Transfer,
    to: ConnectionId,
    at: u64,
    bytes: u64,
) -> Prepared {
    if let Some(awaited) = &transfer.awaited {
        let Some(fetched) = awaited.lock().take() else { return Prepared::Later };
        transfer.awaited = None;
        match fetched {
            Fetched::Ready => {}
            Fetched::Bytes(Ok(bytes)) => return Prepared::Read(bytes),
            Fetched::Bytes(Err(error)) => return Prepared::Broken(error),
        }
    }
    let is_warm = transfer.warm.contains(&at) && at + bytes <= transfer.warm.end;
    if !transfer.is_copied && (is_warm || is_in_memory(&transfer.file, at, bytes)) {
        return Prepared::Sendable;
    }
    let left = transfer.pieces.front().map_or(0, |piece| match piece {
        Piece::Part(_, left) => *left,
        Piece::Text(_) => 0,
    });
    let place = Arc::new(Mutex::new(None));
    let (file, is_copied, for_task) = (transfer.file.clone(), transfer.is_copied, place.clone());
    let mailbox = connections.mailbox.clone();
    let tell = move |fetched| {
        *for_task.lock() = Some(fetched);
        mailbox.put(to);
    };
    let tell_of_room = tell.clone();
    let task = move || {
        tell(if is_copied {
            Fetched::Bytes(read(&file, at, left.min(FILE_COPY_BYTES)))
        } else {
            warm(&file, at, at + left.min(FILE_WARM_BYTES));
            Fetched::Ready
        });
    };
    match connections.disk.run_or_call(task, move || tell_of_room(Fetched::Ready)) {
        Ok(is_begun) => {
            if is_begun && !is_copied {
                transfer.warm = at..at + left.min(FILE_WARM_BYTES);
            }
            transfer.awaited = Some(place);
            Prepared::Later
        }
        Err(Full) => Prepared::Broken(io::Error::other("too many wait for a disk")),
    }
}

/// Reads a part of a file, as much as comes at once; nothing if it ends there.
fn read(file: &File, at: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; bytes as usize];
    loop {
        match file.read_at(&mut buffer, at) {
            Ok(read) => {
                buffer.truncate(read);
                return Ok(buffer);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether a part of a file is in memory, as far as that shows in a few places.
fn is_in_memory(file: &File, at: u64, bytes: u64) -> bool {
    let last = at + bytes - 1;
    let mut places = (at..last).step_by(FILE_PROBE_BYTES as usize).chain([last]);
    places.all(|place| sys::read_now(file, &mut [0], place).is_ok())
}

/// Reads a part of a file, so that it is in memory.
fn warm(file: &File, mut at: u64, end: u64) {
    let mut buffer = vec![0; 64 * 1024];
    while at < end {
        let room = buffer.len().min((end - at) as usize);
        match file.read_at(&mut buffer[..room], at) {
            Ok(read) if read > 0 => at += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // It ends here, or cannot be read: sending it will tell.
            Ok(_) | Err(_) => return,
        }
    }
}
