//! Where the bytes of a request object are: in the job, while its handler runs, or in a copy of
//! its own part, if somebody keeps the object longer.

use std::cell::{Ref, RefCell};

use crate::job::{Call, Client, Entry, Job};

/// What a request object reads.
enum State {
    /// Nothing: the lane has no request loaded.
    Empty,
    /// The job whose current entry this is; it goes back to the reactor afterwards.
    Loaded(Box<Job>),
    /// A job of its own, with one entry.
    Kept(Box<Job>),
}

/// The place of a request object's bytes.
///
/// Getters borrow it only while they make plain objects (str, bytes, dict, int), which runs no
/// Python code; so nobody finds it borrowed when the lane takes the job back. Only the lane itself
/// may borrow it for longer.
pub(crate) struct Source {
    state: RefCell<State>,
}

impl Source {
    pub(crate) fn empty() -> Self {
        Self { state: RefCell::new(State::Empty) }
    }

    /// Puts a job in; its entry at `next` is the request.
    #[inline(always)]
    pub(crate) fn load(&self, job: Box<Job>) {
        *self.state.borrow_mut() = State::Loaded(job);
    }

    /// Whether its answer is still to be made.
    pub(crate) fn is_loaded(&self) -> bool {
        matches!(*self.state.borrow(), State::Loaded(_))
    }

    /// Takes the job out again.
    pub(crate) fn unload(&self) -> Box<Job> {
        match self.state.replace(State::Empty) {
            State::Loaded(job) => job,
            State::Empty | State::Kept(_) => unreachable!("a lane unloads what it has loaded"),
        }
    }

    /// Takes the job out and leaves a copy of the request's part.
    pub(crate) fn part(&self) -> Box<Job> {
        let mut job = self.unload();
        *self.state.borrow_mut() = State::Kept(own_part(&mut job));
        job
    }

    /// The job and the call in it, as long as the result is kept.
    pub(crate) fn read(&self) -> Option<Ref<'_, Job>> {
        Ref::filter_map(self.state.borrow(), |state| match state {
            State::Loaded(job) | State::Kept(job) => Some(&**job),
            State::Empty => None,
        })
        .ok()
    }

    /// Changes the job, if there is one. Nothing of Python may run in `change`.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Job) -> Option<R>) -> Option<R> {
        match &mut *self.state.borrow_mut() {
            State::Loaded(job) | State::Kept(job) => change(job),
            State::Empty => None,
        }
    }

    /// Gives back the room that the request does not need, if it is kept.
    pub(crate) fn slim(&self) {
        if let State::Kept(job) = &mut *self.state.borrow_mut() {
            job.bytes.shrink_to_fit();
            job.headers.shrink_to_fit();
            job.params.shrink_to_fit();
        }
    }

    pub(crate) fn client(&self) -> Client {
        self.read().map_or(Client::Local, |job| job.client)
    }
}

/// The call that a loaded or kept job stands at.
pub(crate) fn call_of(job: &Job) -> &Call {
    match &job.entries[job.next] {
        Entry::Call(call) => call,
        Entry::Answer(_) => unreachable!("a job is loaded at a call"),
    }
}

/// A request that is kept is copied if it is no longer than this: most are much shorter than the buffer
/// that they were read into.
const COPIED_BYTES_MAX: usize = 4 * 1024;

/// A job with the current entry alone. A long one takes the buffer itself; what the job still needs of
/// it is copied.
fn own_part(job: &mut Job) -> Box<Job> {
    let is_last = job.next + 1 == job.entries.len();
    let mut part = Job::without_room();
    if job.bytes.len() <= COPIED_BYTES_MAX {
        part.bytes.clone_from(&job.bytes);
        part.headers.clone_from(&job.headers);
        part.params.clone_from(&job.params);
    } else {
        std::mem::swap(&mut part.bytes, &mut job.bytes);
        std::mem::swap(&mut part.headers, &mut job.headers);
        std::mem::swap(&mut part.params, &mut job.params);
        if is_last {
            // Whoever writes the answer asks for headers, and whoever logs it for methods and targets; the
            // body is not needed.
            let request = call_of(job).request;
            let fields = request.headers_in(&part.headers).iter();
            let head_end = fields.map(|field| field.value.end).fold(request.target.end, u32::max);
            job.bytes.extend_from_slice(&part.bytes[..head_end as usize]);
            job.headers.extend_from_slice(&part.headers);
        } else {
            job.bytes.extend_from_slice(&part.bytes);
            job.headers.extend_from_slice(&part.headers);
            job.params.extend_from_slice(&part.params);
        }
    }
    part.client = job.client;
    part.reply_to = job.reply_to;
    part.intake.clone_from(&job.intake);
    if let Some(id) = job.id() {
        part.identify(id, job.identity(job.next).trace.of(&job.answers));
    }
    if let Some(nonce) = job.nonce() {
        part.give_nonce(*nonce);
    }
    part.entries.push(job.entries[job.next].clone());
    part
}
