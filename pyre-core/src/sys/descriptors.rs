//! Sockets, pipes and their descriptors.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use socket2::SockRef;

/// Receives into the spare capacity of `buffer`, at most `bytes_max`, and returns how many bytes
/// came; 0 means that the peer has closed its side.
///
/// # Errors
/// Whatever `recv` reports, `WouldBlock` among it.
pub(crate) fn receive(
    socket: &impl AsFd,
    buffer: &mut Vec<u8>,
    bytes_max: usize,
) -> io::Result<usize> {
    let filled = buffer.len();
    let spare = buffer.spare_capacity_mut();
    let room = spare.len().min(bytes_max);
    let spare: &mut [MaybeUninit<u8>] = &mut spare[..room];
    let received = SockRef::from(socket).recv(spare)?;
    // SAFETY: `recv` wrote `received` bytes at the start of the spare capacity, and returned no
    // more than the `room` it was given.
    unsafe { buffer.set_len(filled + received) };
    Ok(received)
}

/// How many bytes wait in a socket or a pipe to be received; 0 if the system does not tell.
pub(crate) fn received_bytes(socket: &impl AsRawFd) -> usize {
    queued_bytes(socket.as_raw_fd(), libc::FIONREAD)
}

/// How many bytes were sent on a socket that the peer's system has not acknowledged; 0 if the
/// system does not tell.
pub(crate) fn sent_bytes(socket: &impl AsRawFd) -> usize {
    queued_bytes(socket.as_raw_fd(), libc::TIOCOUTQ)
}

fn queued_bytes(descriptor: RawFd, queue: libc::Ioctl) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: both requests that are made here write one int, for which `count` is the place; of a
    // descriptor that is no socket the kernel says so.
    let result = unsafe { libc::ioctl(descriptor, queue, &raw mut count) };
    if result == 0 { usize::try_from(count).unwrap_or(0) } else { 0 }
}

/// Writes to what is open under a number, whoever has it; returns how many bytes were taken.
///
/// # Errors
/// Whatever `write` reports, also that nothing is open there.
pub(crate) fn write(number: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: as many bytes of ours as the call is told of; of a number that is not open the kernel
    // says so.
    let written = unsafe { libc::write(number, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

/// Waits until what is open under a number takes bytes, at most so long if a time is given. Returns
/// whether it does: not if it is closed, or nobody reads there.
pub(crate) fn wait_writable(number: RawFd, patience: Option<Duration>) -> bool {
    let mut polled = libc::pollfd { fd: number, events: libc::POLLOUT, revents: 0 };
    let milliseconds =
        patience.map_or(-1, |patience| i32::try_from(patience.as_millis()).unwrap_or(i32::MAX));
    // SAFETY: one live structure, as many as the call is told of.
    let found = unsafe { libc::poll(&raw mut polled, 1, milliseconds) };
    // Of an error and of a number that is not open the system tells besides, or instead.
    found > 0 && polled.revents == libc::POLLOUT
}

/// How many bytes a pipe can hold; nothing if this is none, or the system does not tell.
#[cfg(target_os = "linux")]
pub(crate) fn pipe_bytes(number: RawFd) -> Option<usize> {
    // SAFETY: plain numbers; of a number that is no pipe the kernel says so.
    let size = unsafe { libc::fcntl(number, libc::F_GETPIPE_SZ) };
    usize::try_from(size).ok()
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pipe_bytes(_number: RawFd) -> Option<usize> {
    None
}

/// A descriptor of our own for what is open as `number`, which stays with whoever has it. Programs
/// that this process starts do not inherit it.
///
/// # Errors
/// If nothing is open under that number, or the process has too many descriptors.
pub(crate) fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers; of a number that is not open the kernel says so.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
