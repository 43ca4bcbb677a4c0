//! Who is still running: threads are counted, so that waiting for their end has a deadline.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::settings::bounds::LANE_STACK_BYTES;
use crate::sys;

/// A count of running threads.
#[derive(Default)]
pub(crate) struct Threads {
    running: Mutex<usize>,
    ended: Condvar,
}

/// Counts one thread until it is dropped, also when the thread panics.
struct Counted(Arc<Threads>);

impl Drop for Counted {
    fn drop(&mut self) {
        *self.0.running.lock() -= 1;
        self.0.ended.notify_all();
    }
}

impl Threads {
    /// Starts a thread that is counted, on one CPU if asked for.
    ///
    /// # Errors
    /// If the system has no room for another thread.
    pub(crate) fn start(
        self: &Arc<Self>,
        name: String,
        cpu: Option<usize>,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        *self.running.lock() += 1;
        let counted = Counted(self.clone());
        thread::Builder::new().name(name).stack_size(LANE_STACK_BYTES).spawn(move || {
            let _counted = counted;
            if let Some(cpu) = cpu {
                // Refused in some containers; serving goes on, unpinned.
                let _ = sys::pin_to_cpu(cpu);
            }
            run();
        })?;
        Ok(())
    }

    /// Waits until none is left, at most until the deadline. Returns whether that is so.
    ///
    /// # Threads
    /// Blocks the caller.
    pub(crate) fn wait(&self, deadline: Instant) -> bool {
        let mut running = self.running.lock();
        while *running > 0 {
            if self.ended.wait_until(&mut running, deadline).timed_out() {
                return *running == 0;
            }
        }
        true
    }
}

/// A moment so many seconds away, or in a year if that is beyond reckoning.
pub(crate) fn deadline_in(seconds: f64) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    let wait = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(YEAR).min(YEAR);
    Instant::now() + wait
}

/// The CPU for the thread of this index, if threads are pinned.
pub(crate) fn cpu_of(cpus: &[usize], index: usize) -> Option<usize> {
    (!cpus.is_empty()).then(|| cpus[index % cpus.len()])
}
