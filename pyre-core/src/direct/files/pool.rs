//! Threads that may wait for a disk, in place of reactors. There are few, begun when they are needed; what
//! they are to do waits in one bounded queue.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};

use crate::settings::bounds::{DISK_CALLS_MAX, DISK_QUEUE_MAX, DISK_THREADS_MAX};

type Task = Box<dyn FnOnce() + Send>;

/// The queue is full, or the system has no room for a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

/// The pool. When the last owner drops it, its threads end with what they are doing.
#[derive(Default)]
pub(crate) struct Pool(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    has_task: Condvar,
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    /// What is done once there is room: those try again who have found none.
    calls: VecDeque<Task>,
    threads: usize,
    /// Threads that wait for a task.
    idle: usize,
    is_closed: bool,
}

impl Pool {
    /// Has a thread do this.
    ///
    /// # Errors
    /// If too much waits already. Nothing here waits.
    pub(crate) fn run(&self, task: impl FnOnce() + Send + 'static) -> Result<(), Full> {
        self.admit(&mut self.0.state.lock(), task)
    }

    /// Has a thread do this, and returns true; if too much waits already, false, and `call` is done once
    /// something of that has begun.
    ///
    /// # Errors
    /// If there is no thread, or too many wait to be called. Nothing here waits.
    pub(crate) fn run_or_call(
        &self,
        task: impl FnOnce() + Send + 'static,
        call: impl FnOnce() + Send + 'static,
    ) -> Result<bool, Full> {
        let mut state = self.0.state.lock();
        match self.admit(&mut state, task) {
            Err(Full) if state.threads > 0 && state.calls.len() < DISK_CALLS_MAX => {
                state.calls.push_back(Box::new(call));
                Ok(false)
            }
            admitted => admitted.map(|()| true),
        }
    }

    fn admit(&self, state: &mut State, task: impl FnOnce() + Send + 'static) -> Result<(), Full> {
        if state.tasks.len() >= DISK_QUEUE_MAX {
            return Err(Full);
        }
        if state.tasks.len() >= state.idle && state.threads < DISK_THREADS_MAX {
            let shared = self.0.clone();
            let name = format!("pyre-disk-{}", state.threads);
            match thread::Builder::new().name(name).spawn(move || shared.work()) {
                Ok(_) => state.threads += 1,
                Err(_) if state.threads > 0 => {}
                Err(_) => return Err(Full),
            }
        }
        state.tasks.push_back(Box::new(task));
        self.0.has_task.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.is_closed = true;
        let left = (std::mem::take(&mut state.tasks), std::mem::take(&mut state.calls));
        drop(state);
        self.0.has_task.notify_all();
        drop(left);
    }
}

impl Shared {
    fn work(&self) {
        let mut state = self.state.lock();
        while !state.is_closed {
            match state.tasks.pop_front() {
                Some(task) => {
                    let calls = state.next_calls();
                    drop(state);
                    calls.into_iter().for_each(run);
                    run(task);
                    state = self.state.lock();
                }
                None => {
                    state.idle += 1;
                    self.has_task.wait(&mut state);
                    state.idle -= 1;
                }
            }
        }
    }
}

impl State {
    /// Who is called as a task has begun: one, for there is room for one; or all, if nothing waits any more
    /// that would call them.
    fn next_calls(&mut self) -> VecDeque<Task> {
        if self.tasks.is_empty() {
            return std::mem::take(&mut self.calls);
        }
        self.calls.pop_front().into_iter().collect()
    }
}

/// Does a task. One that panics ends by itself and not with its thread, of which there are few; the panic
/// hook has written message and place, and who waits for it waits as long as for a disk that does not answer.
fn run(task: Task) {
    let _ = catch_unwind(AssertUnwindSafe(task));
}

/// A pool whose disk does not answer until the gate is opened: every thread of it stands there.
#[cfg(test)]
pub(crate) mod gate {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Opens when it is dropped.
    pub(crate) struct Gate(
        #[expect(dead_code, reason = "it is there to be dropped")] mpsc::Sender<()>,
    );

    /// Has all threads of a pool wait for the gate.
    pub(crate) fn close(pool: &Pool) -> Gate {
        let (open, opened) = mpsc::channel();
        let opened = Arc::new(Mutex::new(opened));
        let (tell, told) = mpsc::channel();
        for _ in 0..DISK_THREADS_MAX {
            let (opened, tell) = (opened.clone(), tell.clone());
            pool.run(move || {
                tell.send(()).expect("the test waits for that");
                // An error: the gate is open.
                let _ = opened.lock().recv();
            })
            .expect("there is room");
            told.recv_timeout(Duration::from_secs(60)).expect("it has a thread of its own");
        }
        Gate(open)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn what_waits_is_bounded_and_all_of_it_is_done() {
        let pool = Pool::default();
        let gate = Arc::new(Mutex::new(()));
        let held = gate.lock();
        let (tell, told) = mpsc::channel();
        let mut accepted = 0;
        let mut begun = 0;
        loop {
            let (gate, tell) = (gate.clone(), tell.clone());
            let done = pool.run(move || {
                tell.send(false).unwrap();
                drop(gate.lock());
                tell.send(true).unwrap();
            });
            if done.is_err() {
                break;
            }
            accepted += 1;
            if begun < DISK_THREADS_MAX {
                // Each has a thread of its own as long as there are some.
                assert_eq!(told.recv_timeout(PATIENCE), Ok(false));
                begun += 1;
            }
        }
        assert_eq!(accepted, DISK_QUEUE_MAX + DISK_THREADS_MAX);
        drop(held);
        let ended = (0..accepted * 2 - begun).filter(|_| told.recv_timeout(PATIENCE).unwrap());
        assert_eq!(ended.count(), accepted);
    }

    #[test]
    fn a_task_that_panics_takes_no_thread_with_it() {
        let pool = Pool::default();
        for _ in 0..DISK_THREADS_MAX * 2 {
            pool.run(|| panic!("a task of a test")).unwrap();
        }
        let (tell, told) = mpsc::channel();
        pool.run(move || tell.send(()).unwrap()).unwrap();
        told.recv_timeout(PATIENCE).expect("a thread is left");
    }

    #[test]
    fn who_finds_no_room_is_called_once_there_is_some() {
        let pool = Pool::default();
        let gate = gate::close(&pool);
        for _ in 0..DISK_QUEUE_MAX {
            pool.run(|| {}).unwrap();
        }
        let (tell, told) = mpsc::channel();
        for number in 0..DISK_QUEUE_MAX * 2 {
            let tell = tell.clone();
            pool.run_or_call(|| panic!("there is no room"), move || tell.send(number).unwrap())
                .unwrap();
        }
        assert!(told.try_recv().is_err());
        drop(gate);
        for _ in 0..DISK_QUEUE_MAX * 2 {
            told.recv_timeout(PATIENCE).expect("everybody is called");
        }
    }

    #[test]
    fn threads_end_with_the_pool() {
        let pool = Pool::default();
        let (tell, told) = mpsc::channel();
        pool.run(move || tell.send(()).unwrap()).unwrap();
        told.recv_timeout(PATIENCE).unwrap();
        let shared = Arc::downgrade(&pool.0);
        drop(pool);
        let deadline = std::time::Instant::now() + PATIENCE;
        while shared.strong_count() > 0 && std::time::Instant::now() < deadline {
            thread::yield_now();
        }
        assert_eq!(shared.strong_count(), 0);
    }
}
