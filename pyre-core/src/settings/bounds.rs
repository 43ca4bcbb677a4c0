//! Bounds of the server that are not set: each with its unit and the reason.

use std::time::Duration;

/// Connections accepted in one turn; the others wait for the next one.
pub(crate) const ACCEPTS_PER_TURN_MAX: usize = 64;

/// Reads from one connection in one turn; a fast sender does not starve the others.
pub(crate) const READS_PER_TURN_MAX: usize = 16;

/// Bytes asked for in one read of a large body.
pub(crate) const BODY_READ_BYTES: usize = 256 * 1024;

/// Bytes asked for in one read of a body that its handler takes as it comes: so much may be on its way
/// beyond what a flow is bounded by.
pub(crate) const UPLOAD_READ_BYTES: usize = 64 * 1024;

/// Times that pieces of one answer are taken in one turn; a fast sender does not starve the others.
pub(crate) const REFILLS_PER_TURN_MAX: usize = 2;

/// What flows that are between two batches of pieces keep of large buffers, in all, in bytes.
pub(crate) const SPARE_BYTES_MAX: usize = 16 << 20;

/// How long they do, in milliseconds: one that is silent for longer keeps little.
pub(crate) const SPARE_MS: u64 = 1_000;

/// How long answers in pieces are looked at in one turn, in microseconds; the rest in the next one.
pub(crate) const STREAMS_US_MAX: u64 = 5_000;

/// How long publications are delivered in one turn, in microseconds; the rest in the next one.
pub(crate) const FAN_OUT_US_MAX: u64 = 2_000;

/// How long the goodbye of a server that leaves waits for what was published before, in milliseconds.
pub(crate) const OWED_MS_MAX: u64 = 2_000;

/// Subscribers that are looked up at a time, while others who come or go wait for that.
pub(crate) const HEARERS_PER_LOOK: usize = 32;

/// How long the peer of a WebSocket has to answer our close frame, in milliseconds.
pub(crate) const CLOSING_MS: u64 = 5_000;

/// The same while the server ends.
pub(crate) const GOODBYE_MS: u64 = 2_000;

/// How often a WebSocket is looked at whose peer does not take what is written, in milliseconds.
pub(crate) const SOCKET_LOOK_MS: u64 = 500;

/// How long a handler has, once its client has closed a WebSocket, for what it says to messages that came
/// before, in milliseconds.
pub(crate) const CLOSE_ANSWER_MS: u64 = 1_000;

/// Events taken from the poll in one turn.
pub(crate) const EVENTS_PER_TURN_MAX: usize = 1024;

/// Idle jobs that a reactor keeps for reuse.
pub(crate) const POOLED_JOBS_MAX: usize = 256;

/// Time to let a peer that still sends read our last answer, in milliseconds, without progress.
pub(crate) const LINGER_IDLE_MS: u64 = 5_000;

/// The same, in all.
pub(crate) const LINGER_MS_MAX: u64 = 60_000;

/// How often a server that drains looks whether a peer has got our last answer, in milliseconds.
pub(crate) const DELIVERY_LOOK_MS: u64 = 50;

/// Time for the rest of a head once the server drains, in milliseconds.
pub(crate) const DRAIN_HEAD_MS: u64 = 500;

/// Pause after the process ran out of file descriptors, in milliseconds.
pub(crate) const ACCEPT_PAUSE_MS: u64 = 100;

/// Time between two warnings of that.
pub(crate) const ACCEPT_WARNING: Duration = Duration::from_secs(60);

/// Stack of a lane's thread; CPython 3.13 counts on 8 MiB for its limit on C recursion.
pub(crate) const LANE_STACK_BYTES: usize = 8 * 1024 * 1024;

/// The shortest and the longest time that an interrupted handler has to end, in milliseconds.
pub(crate) const OVERRUN_GRACE_MS_MIN: u64 = 50;
pub(crate) const OVERRUN_GRACE_MS_MAX: u64 = 1_000;

/// How long a client that has closed its side may still be waiting for its answer, in milliseconds.
pub(crate) const HALF_CLOSED_MS: u64 = 500;

/// Bytes of the largest file that reactors keep in memory and send from there; larger ones go from the file
/// to the socket.
pub(crate) const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Answers from memory are written once they are so long together, in bytes: a longer buffer would be made
/// anew each time.
pub(crate) const FILES_REPLY_BYTES: usize = 64 * 1024;

/// Files that one reactor keeps, and their bytes.
pub(crate) const KEPT_FILES_MAX: usize = 4_096;
pub(crate) const KEPT_FILES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long what was found of a file holds, in milliseconds; then it is looked at again.
pub(crate) const FILE_FRESH_MS: u64 = 1_000;

/// Bytes of a file that are sent with one call, and calls for one connection in one turn.
pub(crate) const FILE_SEND_BYTES: u64 = 512 * 1024;
pub(crate) const FILE_SENDS_PER_TURN_MAX: usize = 2;

/// How far apart it is looked whether a file is in memory, in bytes: as much as Linux reads ahead.
pub(crate) const FILE_PROBE_BYTES: u64 = 128 * 1024;

/// Bytes of a file that are read into memory at a time, for an answer that has come to them.
pub(crate) const FILE_WARM_BYTES: u64 = 1024 * 1024;

/// Bytes of a file that are read for one answer at a time, where the reactor cannot send from the file.
pub(crate) const FILE_COPY_BYTES: u64 = 256 * 1024;

/// Threads that may wait for a disk, and what may wait for such a thread; of more a client is told to come
/// again.
pub(crate) const DISK_THREADS_MAX: usize = 8;
pub(crate) const DISK_QUEUE_MAX: usize = 1_024;

/// Answers that have begun and wait for room in that queue; of more the connection ends.
pub(crate) const DISK_CALLS_MAX: usize = 16 * 1024;
