//! System calls that no safe crate of ours offers. `unsafe` is allowed here, each block explained.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use pyre_interp::worker::loop_lane::Bell;
use socket2::SockRef;

use crate::log::writer;

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

/// Lets the calling thread write to pipes without a reader: the write fails then, whatever the
/// program has set for SIGPIPE.
pub(crate) fn block_broken_pipe_signal() {
    // SAFETY: all zeroes is a value of this plain C structure, and it is emptied below.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: a live structure.
    unsafe { libc::sigemptyset(&raw mut set) };
    // SAFETY: as above, and a signal that exists.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGPIPE) };
    // SAFETY: as above; nobody wants to know what was blocked before.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

/// Nanoseconds of a clock that nobody sets, since some moment before the process began. `Instant`
/// would take three times as many instructions for a number.
pub(crate) fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one such structure, for which `time` is the place. Every kernel has
    // this clock, and reading one that exists cannot fail.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    debug_assert_eq!(result, 0, "a machine without a clock");
    // Both are never negative, and their sum lasts for 584 years.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
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

/// Lets the calling thread run on one CPU only.
///
/// # Errors
/// What `sched_setaffinity` reports.
#[cfg(target_os = "linux")]
pub(crate) fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    // SAFETY: all zeroes is the empty set for this plain C structure.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: `cpu` lies inside the set, as checked above.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: thread 0 is the caller, and `set` is a live structure of the size given.
    let result =
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The CPUs that this process may run on, in ascending order.
#[cfg(target_os = "linux")]
pub(crate) fn allowed_cpus() -> Vec<usize> {
    // SAFETY: all zeroes is the empty set for this plain C structure.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: process 0 is the caller, and `set` is a live structure of the size given.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    if result != 0 {
        return Vec::new();
    }
    // SAFETY: every index is below CPU_SETSIZE.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// Pinning is not available here; threads stay where the system puts them.
///
/// # Errors
/// Always `Unsupported`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin_to_cpu(_cpu: usize) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// No affinity mask can be read here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn allowed_cpus() -> Vec<usize> {
    Vec::new()
}

/// The number of the calling thread, as the kernel knows it.
#[cfg(target_os = "linux")]
pub(crate) fn thread_id() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// The CPU time that a thread of this process has used; none if it has ended.
#[cfg(target_os = "linux")]
pub(crate) fn cpu_time(thread: i32) -> Option<Duration> {
    // The clock of a thread, as `pthread_getcpuclockid` computes it (time.h of Linux, CPUCLOCK_SCHED
    // and CPUCLOCK_PERTHREAD_MASK): by the kernel's number, as the thread may have ended.
    let clock = (!thread << 3) | 6;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to one live structure; of a clock that does not exist the kernel says so.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
    (result == 0).then(|| Duration::new(seconds, nanoseconds))
}

/// Whether a thread of this process runs, or would if it had a CPU.
#[cfg(target_os = "linux")]
pub(crate) fn is_runnable(thread: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
    // The state follows the name, which stands in parentheses and may hold any character.
    let state = stat.as_deref().ok().and_then(|stat| stat.rsplit_once(") "));
    state.is_some_and(|(_, state)| state.starts_with('R'))
}

/// Threads have no number here that would be of use.
#[cfg(not(target_os = "linux"))]
pub(crate) fn thread_id() -> i32 {
    0
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn cpu_time(_thread: i32) -> Option<Duration> {
    None
}

/// Not known here: a thread that seems blocked counts as such.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_runnable(_thread: i32) -> bool {
    false
}

/// Bytes of memory that this process has in use, if the system tells.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// What a loop lane sleeps on: something that is rung, beside the selector of its event loop.
pub(crate) struct LoopBell {
    /// Readable once it was rung.
    listening: OwnedFd,
    /// Where it is rung, if that is another end.
    ringing: Option<OwnedFd>,
}

impl LoopBell {
    /// # Errors
    /// If the process has no more descriptors.
    #[cfg(target_os = "linux")]
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes two numbers.
        let counter = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if counter < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that was made on the lines above and belongs to nobody else.
        let listening = unsafe { OwnedFd::from_raw_fd(counter) };
        Ok(Self { listening, ringing: None })
    }

    /// # Errors
    /// If the process has no more descriptors.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn new() -> io::Result<Self> {
        let (listening, ringing) = std::os::unix::net::UnixStream::pair()?;
        listening.set_nonblocking(true)?;
        ringing.set_nonblocking(true)?;
        Ok(Self { listening: listening.into(), ringing: Some(ringing.into()) })
    }

    /// Forgets that it was rung.
    fn quieten(&self) {
        let mut rung = [0_u64; 8];
        let room = size_of_val(&rung);
        loop {
            // SAFETY: a descriptor of our own, and as many bytes of ours as the call is told of.
            let read =
                unsafe { libc::read(self.listening.as_raw_fd(), rung.as_mut_ptr().cast(), room) };
            // An eventfd gives its whole count at once; a socket may hold more than there was room
            // for. A failure says that there was nothing.
            if usize::try_from(read).is_ok_and(|read| read == room) {
                continue;
            }
            return;
        }
    }
}

impl Bell for LoopBell {
    fn wait(&self, descriptor: i32, timeout: Option<Duration>) -> bool {
        let poll = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut polled = [poll(self.listening.as_raw_fd()), poll(descriptor)];
        // Rounded up, as asyncio does: a timer is due when the wait is over.
        let milliseconds = timeout.map_or(-1, |timeout| {
            i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
        });
        // SAFETY: two live structures, as many as the call is told of.
        let found = unsafe { libc::poll(polled.as_mut_ptr(), 2, milliseconds) };
        // A failure is an interruption by a signal, or the system's want of memory: the caller looks
        // after everything, and comes back.
        if found > 0 && polled[0].revents != 0 {
            self.quieten();
        }
        found > 0 && polled[1].revents != 0
    }

    fn ring(&self) {
        let once = 1_u64;
        let end = self.ringing.as_ref().unwrap_or(&self.listening).as_raw_fd();
        // SAFETY: a descriptor of our own, and a live number of as many bytes as the call is told of.
        // A failure says that it was rung so often that it has no room for more.
        unsafe { libc::write(end, (&raw const once).cast(), size_of_val(&once)) };
    }
}

/// Makes the C allocator give large blocks straight back to the system.
///
/// glibc raises its threshold for `mmap` each time such a block is freed; one large answer would
/// then leave megabytes in the heap for ever. A fixed threshold keeps what the manual promises.
pub(crate) fn return_large_blocks_to_the_system() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const BLOCK_BYTES: libc::c_int = 128 * 1024;
        // SAFETY: `mallopt` takes two plain numbers and is called before the threads start.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, BLOCK_BYTES) };
        // SAFETY: as above.
        unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, BLOCK_BYTES) };
    }
}

/// Gives memory that was freed, and that the C allocator keeps, back to the system: whole pages, in
/// the heaps of all threads. Takes milliseconds.
pub(crate) fn return_free_pages_to_the_system() {
    // SAFETY: takes a number and locks each heap while it looks at it; may be called at any time.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Ends a process that a handler has forked, and in which it returned or waits instead of ending it:
/// there is nobody to answer, and nothing else to do.
pub(crate) fn end_fork() -> ! {
    let reason = "a handler returned in a process that it had forked; end it with os._exit()";
    writer::say("ERROR", "pyre: ", reason);
    writer::flush(Duration::from_secs(1));
    // SAFETY: ends the process at once; its exit hooks are those of the process it was forked from.
    unsafe { libc::_exit(1) }
}

/// Runs the body of a thread without which the server cannot go on. If it fails or panics, the
/// process ends with code 1 and a line that says so: half a server would answer half the clients.
pub(crate) fn end_process_if_it_fails(name: &str, run: impl FnOnce() -> io::Result<()>) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    let reason = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        // The panic hook has written message and place.
        Err(_) => "panic".to_owned(),
    };
    let reason = format!("{name} failed and the server cannot go on: {reason}");
    writer::say("CRITICAL", "pyre: ", &reason);
    // What was logged before stands before it, as far as somebody reads.
    writer::flush(Duration::from_secs(1));
    // SAFETY: ends the process at once; no destructor or exit hook runs, which might wait for
    // threads that are inside Python.
    unsafe { libc::_exit(1) }
}
