//! Other threads of the same interpreter: exceptions sent to them, and where they are.

use std::{
    ffi::c_ulong,
    mem::size_of,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use pyo3_ffi as ffi;

use crate::{Attached, Object, Owned, interpreter::forks};

/// A thread of an interpreter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadId {
    /// What `threading.get_ident()` says on it.
    pub ident: u64,
    /// The number of its thread state, which no other one of the process has.
    pub state: i64,
}

impl ThreadId {
    /// This thread, as it runs the interpreter of `py`.
    pub fn current(_py: Attached<'_>) -> ThreadId {
        // SAFETY: may be called on any thread.
        let ident = unsafe { ffi::PyThread_get_thread_ident() };
        // SAFETY: on an attached thread, so there is a state.
        let state = unsafe { ffi::PyThreadState_Get() };
        // SAFETY: this thread's own state.
        ThreadId { ident, state: unsafe { ffi::PyThreadState_GetID(state) } }
    }
}

/// Held while a thread state is made by a thread that is not attached to its interpreter, and while
/// the states of an interpreter are looked at. States that Python code makes and ends need it not: that
/// happens under the interpreter's lock, which whoever looks at them has.
///
/// No lock of the library's, because of what CPython does while one has it:
/// - Whoever makes a state may wait for the main interpreter's lock, which `tracemalloc` takes as it notes
///   the memory. So nobody waits for this one while attached.
/// - He may also wait for a fork, which another thread makes. The child has nobody who would give the lock
///   back: there it is free.
static STATES: Turn = Turn(AtomicUsize::new(FREE));

/// A lock that knows in which process it was taken.
struct Turn(AtomicUsize);

const FREE: usize = 0;

/// How long one waits between two looks at the lock, which is held for microseconds.
const LOOK_AGAIN: Duration = Duration::from_micros(50);

/// Looks at the lock without a pause between them.
const YIELDS: usize = 20;

/// Holds the lock until it is dropped.
pub(crate) struct TurnTaken<'a>(&'a Turn);

impl Turn {
    /// Takes the lock if nobody of this process has it, whose number is `process`.
    fn try_take(&self, process: usize) -> Option<TurnTaken<'_>> {
        let ours = process + 1;
        // Relaxed: the exchange orders what follows.
        let seen = self.0.load(Ordering::Relaxed);
        if seen == ours {
            return None;
        }
        let taken = self.0.compare_exchange(seen, ours, Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok().then(|| TurnTaken(self))
    }

    /// Waits for a moment at which somebody may have given the lock back.
    fn pause(looks: usize) {
        if looks < YIELDS {
            thread::yield_now();
        } else {
            thread::park_timeout(LOOK_AGAIN);
        }
    }
}

impl Drop for TurnTaken<'_> {
    fn drop(&mut self) {
        self.0.0.store(FREE, Ordering::Release);
    }
}

/// While the value lives, no state is made by a thread that is not attached to its interpreter.
///
/// # Threads
/// Lets others run the interpreter if it has to wait.
pub(crate) fn states_stay(py: Attached<'_>) -> TurnTaken<'static> {
    let mut looks = 0;
    loop {
        if let Some(taken) = STATES.try_take(forks()) {
            return taken;
        }
        py.detach(|| Turn::pause(looks));
        looks += 1;
    }
}

/// Makes a thread state for this thread, which is attached to nothing; none if there is no memory for it.
///
/// # Safety
///
/// The interpreter must live until the state has been deleted.
pub(crate) unsafe fn new_thread_state(
    interpreter: *mut ffi::PyInterpreterState,
) -> Option<*mut ffi::PyThreadState> {
    let mut looks = 0;
    let stay = loop {
        if let Some(taken) = STATES.try_take(forks()) {
            break taken;
        }
        Turn::pause(looks);
        looks += 1;
    };
    // SAFETY: the caller's duty.
    let state = unsafe { ffi::PyThreadState_New(interpreter) };
    drop(stay);
    (!state.is_null()).then_some(state)
}

/// Raises `class` in a thread, when it next runs Python code of this interpreter.
///
/// Answers whether there is such a thread.
pub fn raise_in_thread<T>(py: Attached<'_>, thread: ThreadId, class: &Object<T>) -> bool {
    let _ = py;
    // SAFETY: a live object, on an attached thread; CPython looks the thread up by its number.
    unsafe { ffi::PyThreadState_SetAsyncExc(thread.ident as c_ulong as _, class.as_ptr()) > 0 }
}

/// Takes back what [`raise_in_thread`] left for a thread, if it has not been raised yet.
///
/// Answers whether there is such a thread.
pub fn withdraw_from_thread(py: Attached<'_>, thread: ThreadId) -> bool {
    let _ = py;
    // SAFETY: on an attached thread; NULL says that nothing is to be raised.
    unsafe {
        ffi::PyThreadState_SetAsyncExc(thread.ident as c_ulong as _, std::ptr::null_mut()) > 0
    }
}

/// The frame that another thread of this interpreter runs, if it runs Python code.
///
/// Unlike `sys._current_frames()`, which looks at the threads of all interpreters and makes their
/// frames objects of this one.
pub fn frame_of_thread<'py>(py: Attached<'py>, thread: ThreadId) -> Option<Owned<'py>> {
    let mut found = None;
    each_thread(py, |_, number, frame| {
        if number == thread.state {
            found = frame;
        }
    });
    found
}

/// The frames of all other threads of this interpreter that run Python code, each with the number of
/// its thread state.
pub fn frames_of_other_threads(py: Attached<'_>) -> Vec<(i64, Owned<'_>)> {
    let own = ThreadId::current(py);
    let mut frames = Vec::new();
    each_thread(py, |_, number, frame| {
        if number != own.state
            && let Some(frame) = frame
        {
            frames.push((number, frame));
        }
    });
    frames
}

/// The frames of all threads of this interpreter that run Python code, this one included, each with
/// what `threading.get_ident()` says on its thread. None if this CPython keeps that number where it
/// cannot be found.
pub fn frames_of_threads(py: Attached<'_>) -> Option<Vec<(u64, Owned<'_>)>> {
    let place = place_of_ident(py)?;
    let mut frames = Vec::new();
    each_thread(py, |state, _, frame| {
        if let Some(frame) = frame {
            frames.push((word_of(py, state, place) as u64, frame));
        }
    });
    Some(frames)
}

/// How many words of a thread state are looked at for the thread's ident. In every version that we
/// load into, it is among them, and a state has more of them than this.
const WORDS_SEARCHED: usize = 256 / size_of::<usize>();

unsafe extern "C" {
    // Not declared by `pyo3-ffi`; exported on all systems that we run on.
    fn PyThread_get_thread_native_id() -> c_ulong;
}

/// Where in a thread state the thread's ident is, in words.
///
/// No function of CPython's tells the ident of another thread's state. But this thread knows its own
/// two numbers, and a state has them one behind the other; so we look where.
fn place_of_ident(py: Attached<'_>) -> Option<usize> {
    static PLACE: OnceLock<Option<usize>> = OnceLock::new();
    *PLACE.get_or_init(|| {
        let ident = ThreadId::current(py).ident as usize;
        // SAFETY: may be called on any thread.
        let native = unsafe { PyThread_get_thread_native_id() } as usize;
        // SAFETY: on an attached thread, so there is a state.
        let state = unsafe { ffi::PyThreadState_Get() };
        (0..WORDS_SEARCHED - 1)
            .find(|&at| word_of(py, state, at) == ident && word_of(py, state, at + 1) == native)
    })
}

/// A word of a state of this interpreter.
fn word_of(_py: Attached<'_>, state: *mut ffi::PyThreadState, at: usize) -> usize {
    assert!(at < WORDS_SEARCHED, "within a thread state");
    // SAFETY: a state is aligned to words, and larger than what is searched.
    let word = unsafe { state.cast::<usize>().add(at) };
    // SAFETY: the callers' states live, as they say. Other threads write some of its words, atomically,
    // and only read those that are found.
    let word = unsafe { AtomicUsize::from_ptr(word) };
    word.load(Ordering::Relaxed)
}

/// Shows every thread of this interpreter: its state, which lives during the call, the number of that,
/// and the frame it runs, if that is Python code. Nothing of Python may run in `show`.
///
/// # Threads
/// Others may run the interpreter before it begins to look.
fn each_thread<'py>(
    py: Attached<'py>,
    mut show: impl FnMut(*mut ffi::PyThreadState, i64, Option<Owned<'py>>),
) {
    // SAFETY: on an attached thread.
    let interpreter = unsafe { ffi::PyInterpreterState_Get() };
    let _stay = states_stay(py);
    // SAFETY: an interpreter lives while a thread is attached to it. Its states are ended on threads
    // that are attached to it, so none ends while we are, and none is made, as `_stay` says.
    let mut state = unsafe { ffi::PyInterpreterState_ThreadHead(interpreter) };
    while !state.is_null() {
        // SAFETY: a state of this interpreter, which lives as said above.
        let number = unsafe { ffi::PyThreadState_GetID(state) };
        // SAFETY: as above. The thread does not run meanwhile, as we have the lock.
        let frame = unsafe { ffi::PyThreadState_GetFrame(state) };
        // SAFETY: a new reference to an object of this interpreter.
        let frame = std::ptr::NonNull::new(frame.cast::<ffi::PyObject>())
            .map(|frame| unsafe { Owned::from_pointer(frame, py) });
        show(state, number, frame);
        // SAFETY: as above.
        state = unsafe { ffi::PyThreadState_Next(state) };
    }
}

#[cfg(test)]
mod tests {
    use super::{FREE, STATES, Turn, frames_of_other_threads};
    use crate::interpreter::{embed, forks};
    use std::{
        sync::{atomic::AtomicUsize, mpsc},
        thread,
        time::Duration,
    };

    /// As he does who makes a state while `tracemalloc` notes the memory.
    #[test]
    fn who_looks_at_states_lets_the_one_that_has_the_turn_have_the_interpreter() {
        let (inside, comes) = mpsc::channel();
        let (has_it, taken) = mpsc::channel();
        let (go, back) = mpsc::channel();
        let maker = thread::spawn(move || {
            embed().enter(|py| {
                let turn = py.detach(move || {
                    comes.recv().unwrap();
                    let turn = loop {
                        match STATES.try_take(forks()) {
                            Some(turn) => break turn,
                            None => thread::yield_now(),
                        }
                    };
                    has_it.send(()).unwrap();
                    back.recv().unwrap();
                    turn
                });
                drop(turn);
            })
        });
        let (done, looked) = mpsc::channel();
        let looker = thread::spawn(move || {
            embed().enter(|py| {
                py.detach(move || {
                    inside.send(()).unwrap();
                    taken.recv().unwrap();
                });
                // Attached from here on, so that the other one waits for this thread.
                go.send(()).unwrap();
                drop(frames_of_other_threads(py));
                done.send(()).unwrap();
            })
        });
        looked.recv_timeout(Duration::from_secs(60)).expect("each would wait for the other");
        maker.join().unwrap().unwrap();
        looker.join().unwrap().unwrap();
    }

    #[test]
    fn a_turn_is_taken_once_and_free_again_in_a_process_that_was_forked() {
        let turn = Turn(AtomicUsize::new(FREE));
        let taken = turn.try_take(0).expect("it is free");
        assert!(turn.try_take(0).is_none());
        drop(taken);
        let taken = turn.try_take(0).expect("it was given back");
        // Whoever had it is not in the child.
        std::mem::forget(taken);
        let taken = turn.try_take(1).expect("nobody has it here");
        assert!(turn.try_take(1).is_none());
        drop(taken);
        assert!(turn.try_take(2).is_some());
    }
}
