//! Files, without Python and without waiting for a disk.
//!
//! Small ones are kept in memory by each reactor. What is not there, or was looked at too long ago, is
//! looked up at once if the system has in memory what that takes; otherwise a thread of the disk pool does
//! it, and the request waits for that without the reactor.

pub(crate) mod pool; // threads that may wait for a disk
pub(crate) mod version; // one file as it is sent
pub(crate) mod look; // what is there under a name
pub(crate) mod cache; // what was found, in memory
pub(crate) mod serve; // the answer to one request
