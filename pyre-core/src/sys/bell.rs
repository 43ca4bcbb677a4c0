//! What the thread of an event loop sleeps on.

use std::time::Duration;

#[cfg(target_os = "linux")]
mod epoll; // a counter beside the selector
#[cfg(not(target_os = "linux"))]
mod pair; // a pair of sockets beside the selector

#[cfg(target_os = "linux")]
pub(crate) use epoll::LoopBell;
#[cfg(not(target_os = "linux"))]
pub(crate) use pair::LoopBell;

/// Rounded up, as asyncio does: a timer is due when the wait is over.
fn milliseconds(timeout: Option<Duration>) -> i32 {
    timeout
        .map_or(-1, |timeout| i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX))
}
