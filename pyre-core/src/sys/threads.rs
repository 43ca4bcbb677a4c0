//! Threads: where they run, and what is known of them.

use std::io;
use std::time::Duration;

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

/// Lets the calling thread write to pipes without a reader: the write fails then, whatever the
/// program has set for SIGPIPE.
pub(crate) fn block_broken_pipe_signal() {
    // Nobody wants to know what was blocked before.
    let _ = set_broken_pipe_blocked();
}

/// Blocks that signal for this thread; returns what was blocked before.
fn set_broken_pipe_blocked() -> libc::sigset_t {
    // SAFETY: all zeroes is a value of this plain C structure.
    let mut before: libc::sigset_t = unsafe { std::mem::zeroed() };
    let set = broken_pipe();
    // SAFETY: two live structures, and a way of setting that exists.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before) };
    before
}

/// The set of that signal alone.
fn broken_pipe() -> libc::sigset_t {
    // SAFETY: all zeroes is a value of this plain C structure, and it is emptied below.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: a live structure.
    unsafe { libc::sigemptyset(&raw mut set) };
    // SAFETY: as above, and a signal that exists.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGPIPE) };
    set
}

/// Writes to where nobody may read any more; the signal of that is not seen by the program.
#[cfg(target_os = "linux")]
pub(crate) fn without_broken_pipe_signal(
    write: impl FnOnce() -> io::Result<usize>,
) -> io::Result<usize> {
    let before = set_broken_pipe_blocked();
    // SAFETY: a live structure, and a signal that exists.
    let was_blocked = unsafe { libc::sigismember(&raw const before, libc::SIGPIPE) } == 1;
    let written = write();
    if was_blocked {
        return written;
    }
    if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        let (set, at_once) = (broken_pipe(), libc::timespec { tv_sec: 0, tv_nsec: 0 });
        // It is for this thread, and is not seen by the program once it is taken here.
        // SAFETY: two live structures; what the signal says nobody wants to know.
        unsafe { libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const at_once) };
    }
    // SAFETY: what was set before; nobody wants to know what is set now.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    written
}

/// The signal is as the program has set it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn without_broken_pipe_signal(
    write: impl FnOnce() -> io::Result<usize>,
) -> io::Result<usize> {
    write()
}
