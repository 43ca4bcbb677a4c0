//! The loop lane: the thread of an interpreter that takes jobs for `async def` handlers, steps their
//! coroutines, and runs the asyncio loop on which those that wait go on. Hot path.
//!
//! ```text
//!   take jobs ──▶ step ──▶ ended: write the answer, next call of the job
//!                   └────▶ waits: it is a flight, its task goes on with it
//!   iterate the loop ────▶ flights whose coroutine has ended: as above
//!   cancel flights that are overdue or whose client has gone
//!   sleep until a job comes, the loop's selector is ready, or a timer is due
//! ```
//! With one thread to an interpreter, this lane runs its `def` handlers as well.

mod calls; // the calls of a job, until each is answered or waits
mod flights; // those that wait, from taking off to landing
mod cancellation; // which of them are cancelled

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pyre_ffi::{Attached, Guarded, Instance, Int, Owned, Raised, Str};

use crate::event_loop::asyncio::EventLoop;
use crate::event_loop::drivers::Drivers;
use crate::event_loop::flights::{End, Flights};
use crate::event_loop::request_coroutine::Turnstile;
use crate::flow::Wakes;
use crate::invoke::application::Application;
use crate::objects::request::Request;
use crate::objects::toolkit::Toolkit;
use crate::objects::websocket::arrival::{Home, IS_ARRIVAL};
use crate::ring::LaneSeat;
use crate::worker::inlet::Inlet;
use crate::worker::lane::{Lane, Shared};

/// Jobs taken before the loop has its turn.
const JOBS_PER_TURN_MAX: usize = 64;

/// Senders that are woken before the loop has its turn.
const WAKES_PER_TURN_MAX: usize = 256;

/// Turns with jobs and wakes alone before the loop looks at its selector all the same.
const TURNS_WITHOUT_LOOK_MAX: u32 = 16;

/// How long flights that were cancelled at the end have to end, with their hooks: less than the server
/// waits for a lane that holds requests it has given up.
const LAST_FLIGHTS_MAX: Duration = Duration::from_millis(750);

/// What a loop lane sleeps on, which takes a system call that is not for this crate.
pub trait Bell: Send + Sync {
    /// From now on a wait ends, too, while this descriptor is readable, which stays open as long as there are
    /// waits. Called once, before the first one.
    ///
    /// # Errors
    /// If the system has no room for it.
    fn watch(&self, descriptor: i32) -> io::Result<()>;

    /// Waits until the bell rings, what is watched is readable, or the time is over. Answers whether
    /// that is readable. One thread at a time.
    fn wait(&self, timeout: Option<Duration>) -> bool;

    /// Ends the wait, or keeps the next one from beginning.
    fn ring(&self);
}

/// A seat in the roster, and the bell that the roster rings for it.
pub struct Berth<'a> {
    /// The seat.
    pub seat: LaneSeat,
    /// Its bell.
    pub bell: &'a dyn Bell,
}

/// Takes jobs and runs them until the roster is closed, and with them everything else that runs on
/// the loop. Calls `opened` when lanes may await coroutines on it.
///
/// # Errors
/// If the loop is not one that we know, or what a lane works with cannot be made.
///
/// # Threads
/// Blocks the calling thread, on which the loop is the running one meanwhile.
pub fn run(
    py: Attached<'_>,
    shared: &Shared,
    berth: Berth<'_>,
    event_loop: Owned<'_>,
    app: &Arc<Application>,
    tools: &Arc<Toolkit>,
    opened: impl FnOnce(),
) -> Result<(), Raised> {
    let event_loop = event_loop.as_any().to_owned(py);
    let Berth { mut seat, bell } = berth;
    let lane = Lane::new(py, shared, &seat, app, tools)?;
    let turnstile = Arc::new(Turnstile {
        ended: Guarded::new(py, Vec::new()),
        watch: lane.watch.clone(),
        app: app.clone(),
        process: lane.process,
        end_fork: shared.end_fork,
    });
    let event_loop = EventLoop::open(py, event_loop)?;
    bell.watch(event_loop.selector()).map_err(|error| {
        Raised::runtime_error(py, &format!("the event loop cannot be waited for: {error}"))
    })?;
    // What was there before is dropped here, where Python code may run.
    drop(app.home.replace(Arc::new(Home::new(py, event_loop.object())?)));
    let wakes = Arc::new(Wakes::new(shared.roster.clone()));
    app.wakes.replace(wakes.clone());
    opened();
    let mut lane = LoopLane {
        py,
        drivers: Drivers::new(py, turnstile.clone())?,
        lane,
        event_loop,
        turnstile,
        flights: Flights::default(),
        requests: Vec::new(),
        wakes,
        disconnects: shared.disconnects.version(),
    };
    lane.serve(&mut seat, bell)?;
    lane.close(bell)
}

struct LoopLane<'py, 'a> {
    py: Attached<'py>,
    lane: Lane<'py, 'a>,
    event_loop: EventLoop<'py>,
    drivers: Drivers<'py>,
    turnstile: Arc<Turnstile>,
    flights: Flights<'py>,
    /// Request objects with nothing loaded.
    requests: Vec<Owned<'py, Instance<Request>>>,
    /// Senders on the loop that can go on.
    wakes: Arc<Wakes>,
    /// The version of the disconnects that has been looked at.
    disconnects: u64,
}

impl<'py> LoopLane<'py, '_> {
    fn serve(&mut self, seat: &mut LaneSeat, bell: &dyn Bell) -> Result<(), Raised> {
        // The loop has something to do that shows in its selector or is due by its timers.
        let mut is_due = false;
        let mut turns_without_look = 0;
        loop {
            let mut is_idle = !self.take_jobs(seat);
            self.lane.unrung.ring(&self.lane.shared.doorbells);
            self.run_tasks();
            self.cancel_disconnected();
            is_idle &= !self.wake_senders();
            self.cancel_overdue();
            turns_without_look += 1;
            let looks = turns_without_look >= TURNS_WITHOUT_LOOK_MAX && !is_idle;
            if is_due || looks || self.event_loop.has_ready() {
                turns_without_look = 0;
                is_due = false;
                self.iterate();
                self.lane.unrung.ring(&self.lane.shared.doorbells);
                self.run_tasks();
                is_idle = false;
            }
            if !is_idle && !seat.is_closed() {
                continue;
            }
            seat.announce();
            let has_jobs = !self.lane.shared.inlet.with(self.py, |inlet| inlet.is_empty());
            if has_jobs
                || self.lane.shared.disconnects.version() != self.disconnects
                || !self.wakes.is_empty()
            {
                seat.look();
                continue;
            }
            if seat.is_closed() {
                seat.look();
                return Ok(());
            }
            let settled = self.drivers.settle(&self.event_loop);
            self.tell(settled);
            // Whoever waits for the task of a request, or for what it has kept, hears of its end now.
            if self.event_loop.has_ready() {
                seat.look();
                continue;
            }
            is_due = self.sleep(bell)?;
            seat.look();
        }
    }

    /// Sleeps until there is something to do. Tells whether it is the loop that has it.
    fn sleep(&self, bell: &dyn Bell) -> Result<bool, Raised> {
        let timer = self.event_loop.next_timer()?;
        let deadline = self.flights.next_deadline();
        if timer.is_none() && deadline.is_none() {
            return Ok(self.py.detach(|| bell.wait(None)));
        }
        let began = Instant::now();
        let deadline = deadline.map(|moment| moment.saturating_duration_since(began));
        let timeout = timer.into_iter().chain(deadline).min();
        let is_ready = self.py.detach(|| bell.wait(timeout));
        Ok(is_ready || timer.is_some_and(|timer| began.elapsed() >= timer))
    }

    fn run_tasks(&mut self) {
        if !self.lane.tasks.is_empty() {
            // What is left to be done has a context of its own, and no task is the current one.
            let left = self.drivers.leave(&self.event_loop);
            self.tell(left);
            self.lane.run_tasks();
        }
    }

    /// Has the senders go on that have found no room, or whose client has gone, and those that wait for
    /// what has come. Tells whether there was one.
    fn wake_senders(&mut self) -> bool {
        if self.wakes.is_empty() {
            return false;
        }
        let Some(wake) = &self.lane.app.wake else { return false };
        let left = self.drivers.leave(&self.event_loop);
        self.tell(left);
        self.lane.watch.begin_callbacks();
        for _ in 0..WAKES_PER_TURN_MAX {
            let Some(number) = self.wakes.take() else { break };
            let woken = if number & IS_ARRIVAL != 0 {
                self.lane.tools.arrivals.wake(self.py, number);
                Ok(())
            } else {
                Int::from_u64(self.py, number)
                    .and_then(|number| wake.bind(self.py).call1(&*number, self.py))
                    .map(drop)
            };
            self.lane.end_if_forked();
            self.tell(woken);
        }
        self.lane.end_piece();
        true
    }

    /// Takes the jobs that are there, up to a bound. Tells whether there was one.
    fn take_jobs(&mut self, seat: &mut LaneSeat) -> bool {
        for number in 0..JOBS_PER_TURN_MAX {
            let Some(job) = self.lane.shared.inlet.with(self.py, Inlet::take) else {
                return number > 0;
            };
            seat.took();
            if !self.lane.shared.disconnects.contains(job.reply_to) {
                self.lane.set_now(job.now_s);
                self.run_job(job);
            } else {
                self.lane.give_back(job);
            }
        }
        true
    }

    /// One iteration of the loop, and what has ended by it.
    fn iterate(&mut self) {
        // Tasks of the loop enter themselves.
        let left = self.drivers.leave(&self.event_loop);
        self.tell(left);
        self.lane.watch.begin_callbacks();
        let iterated = self.event_loop.run_once();
        self.lane.end_piece();
        self.lane.end_if_forked();
        // What a callback raises is reported by the loop; this is for what ends programs, such as
        // SystemExit: here it ends nothing.
        self.tell(iterated);
        loop {
            let ended = self.turnstile.ended.with(self.py, mem::take);
            if ended.is_empty() {
                return;
            }
            self.lane.set_now(now_s());
            for number in ended {
                self.land(number);
            }
            let left = self.drivers.leave(&self.event_loop);
            self.tell(left);
        }
    }

    /// Ends what still flies, and the tasks that wait for requests.
    fn close(&mut self, bell: &dyn Bell) -> Result<(), Raised> {
        // Hooks behind a handler are not cancelled, but have the same time.
        for number in self.flights.numbers() {
            if self.flights.get(number).is_some_and(|flight| !flight.stages.is_past_client()) {
                self.cancel(number, End::Closed);
            }
        }
        let until = Instant::now() + LAST_FLIGHTS_MAX;
        // They may wait for something once more as they clean up, and so may their hooks.
        while !self.flights.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            if !self.event_loop.has_ready() {
                let timer = self.event_loop.next_timer()?.unwrap_or(left);
                self.py.detach(|| bell.wait(Some(timer.min(left))));
            }
            self.iterate();
        }
        self.lane.unrung.ring(&self.lane.shared.doorbells);
        // Those that take longer end with the loop itself.
        for number in self.flights.numbers() {
            if let Some(flight) = self.flights.remove(number) {
                flight.driver.coroutine.end_after_this();
            }
        }
        self.drivers.end(&self.event_loop)?;
        if self.event_loop.has_ready() {
            self.iterate();
        }
        self.event_loop.close()
    }

    /// Tells of a failure that concerns no request, and goes on.
    fn tell(&self, done: Result<(), Raised>) {
        if let Err(raised) = done {
            raised.write_unraisable("the event loop", self.py);
        }
    }
}

/// Unix time in seconds.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn call(object: &Owned<'_>, method: &str, py: Attached<'_>) -> Result<(), Raised> {
    object.call_method0(&*Str::intern(py, method)?, py).map(drop)
}
