//! The start of the workers: in what order they load the program, what each is at, and the outcome.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use pyre_ffi::module::ModuleObject;
use pyre_ffi::{
    Arguments, Attached, List, ModuleBuilder, Object, Owned, Raised, Signature, Str, Tuple, none,
};

use crate::log::functions::text;
use crate::server::engine::Engine;
use crate::server::moves::Moves;

/// The order in which workers start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// Their interpreters are made one after the other, and then all load the program at once.
    Together,
    /// Each when the one before it has loaded the program and run its hooks.
    InTurn,
}

/// What a worker is at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Step {
    /// It is not its turn yet.
    #[default]
    Waiting,
    /// Its interpreter is being made.
    Making,
    /// It loads the program.
    Loading,
    /// It runs the hooks of its start.
    Starting,
    /// It serves, or will when all others do.
    Serving,
}

impl Step {
    fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Making => "making",
            Self::Loading => "loading",
            Self::Starting => "starting",
            Self::Serving => "serving",
        }
    }
}

/// The imports of a program's own code that have begun and not ended, in one interpreter.
pub(crate) type Imports = Arc<Mutex<Vec<String>>>;

const NOTE_IMPORT: Signature<2> = Signature::all("note_import", ["event", "name"]);

/// Adds the function to the module.
pub(crate) fn add(module: &ModuleBuilder<'_>) -> Result<(), Raised> {
    module.function(
        c"note_import",
        c"note_import(event, name)\n--\n\n\
          Note that the program 'begin's to import a module in this interpreter, or that this 'end's.",
        note_import,
    )
}

fn note_import<'py>(
    module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [event, name] =
        given.parse(&NOTE_IMPORT, py)?.map(|one| one.expect("the signature requires it"));
    let [event, name] = [text(py, event)?, text(py, name)?];
    let mut names = module.state::<Engine>(py)?.imports.lock();
    if event == "begin" {
        names.push(name);
    } else if let Some(at) = names.iter().rposition(|one| *one == name) {
        // Threads of the program may import as well, so that it need not be the last.
        names.remove(at);
    }
    Ok(none(py))
}

#[derive(Default)]
struct Seat {
    step: Step,
    imports: Option<Imports>,
}

struct Yard {
    seats: Vec<Seat>,
    /// Whose turn it is.
    next: usize,
    /// No worker shall begin any more.
    is_over: bool,
}

/// What workers that start share.
pub(crate) struct Start {
    order: Order,
    yard: Mutex<Yard>,
    turned: Condvar,
}

/// One worker's part in the start. It has ended once this is dropped.
pub(crate) struct Ticket {
    start: Arc<Start>,
    index: usize,
    outcome: Option<Sender<Outcome>>,
}

/// A worker by its index, and which routes cannot run there, or why it does not serve.
type Outcome = (usize, Result<Moves, String>);

/// Where the outcomes arrive.
pub(crate) struct Arrivals {
    start: Arc<Start>,
    outcomes: Receiver<Outcome>,
    /// By worker, of those that serve.
    found: Vec<Option<Moves>>,
}

/// Makes a ticket for each of so many workers.
pub(crate) fn prepare(workers: usize, order: Order) -> (Vec<Ticket>, Arrivals) {
    let seats = (0..workers).map(|_| Seat::default()).collect();
    let yard = Yard { seats, next: 0, is_over: false };
    let start = Arc::new(Start { order, yard: Mutex::new(yard), turned: Condvar::new() });
    let (sender, outcomes) = mpsc::channel();
    let ticket = |index| Ticket { start: start.clone(), index, outcome: Some(sender.clone()) };
    let tickets = (0..workers).map(ticket).collect();
    (tickets, Arrivals { start, outcomes, found: (0..workers).map(|_| None).collect() })
}

impl Ticket {
    /// The worker's number.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Waits until it is this worker's turn; answers whether it is to begin at all.
    ///
    /// # Threads
    /// Blocks the caller, which must be attached to no interpreter.
    pub(crate) fn wait_for_turn(&self) -> bool {
        let mut yard = self.start.yard.lock();
        while yard.next < self.index && !yard.is_over {
            self.start.turned.wait(&mut yard);
        }
        yard.seats[self.index].step = Step::Making;
        !yard.is_over
    }

    /// The worker's interpreter is made. Waits for those of the others if all load the program
    /// together, so that none is made while programs are loaded; answers whether to go on.
    ///
    /// # Threads
    /// Blocks the caller, which must not be attached: others may need what it holds.
    pub(crate) fn wait_for_others(&self) -> bool {
        if self.start.order == Order::Together {
            self.reach(Step::Waiting);
            self.pass_turn();
            let mut yard = self.start.yard.lock();
            while yard.next < yard.seats.len() && !yard.is_over {
                self.start.turned.wait(&mut yard);
            }
        }
        self.reach(Step::Loading)
    }

    /// Says what the worker is at now; answers whether it is to go on.
    pub(crate) fn reach(&self, step: Step) -> bool {
        let mut yard = self.start.yard.lock();
        yard.seats[self.index].step = step;
        !yard.is_over
    }

    /// Lets the next worker begin although this one does not serve yet. What is left to do must not
    /// disturb the start of another.
    pub(crate) fn pass_turn(&self) {
        {
            let mut yard = self.start.yard.lock();
            // It never goes back: one that passed its turn long ago ends now.
            yard.next = yard.next.max(self.index + 1);
        }
        self.start.turned.notify_all();
    }

    /// Shows what the program imports while it is loaded.
    pub(crate) fn show_imports(&self, imports: Imports) {
        self.start.yard.lock().seats[self.index].imports = Some(imports);
    }

    /// The worker serves, or cannot. Only the first call counts.
    pub(crate) fn end(&mut self, outcome: Result<Moves, String>) {
        let Some(sender) = self.outcome.take() else { return };
        {
            let mut yard = self.start.yard.lock();
            yard.seats[self.index] = Seat { step: Step::Serving, imports: None };
            // One that fails ends the start: nobody's turn comes after it.
            yard.is_over |= outcome.is_err();
            // Sent before others can see that it is over and leave, each with an outcome of its own:
            // the failure that comes first is told. Nobody listens any more if there was one.
            let _ = sender.send((self.index, outcome));
        }
        self.pass_turn();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end(Err("a worker ended before it could serve".to_owned()));
    }
}

impl Arrivals {
    /// Waits for one more worker, at most so long. Returns what was found once all of them serve.
    ///
    /// # Errors
    /// Why a worker does not serve.
    ///
    /// # Threads
    /// Blocks the caller, which must not be attached: workers take the main interpreter's GIL for a
    /// moment when they import an extension module (gh-117953).
    pub(crate) fn wait(&mut self, patience: Duration) -> Result<Option<Vec<Moves>>, String> {
        if self.found.iter().any(Option::is_none) {
            match self.outcomes.recv_timeout(patience) {
                Ok((index, outcome)) => self.found[index] = Some(outcome?),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err("a worker ended before it could serve".to_owned());
                }
            }
        }
        if self.found.iter().any(Option::is_none) {
            return Ok(None);
        }
        Ok(Some(self.found.drain(..).flatten().collect()))
    }

    /// What each worker is at: a word, and what it imports, innermost last.
    pub(crate) fn show<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let seats: Vec<(&str, Vec<String>)> = {
            let yard = self.start.yard.lock();
            let imports = |seat: &Seat| seat.imports.as_ref().map(|names| names.lock().clone());
            let show = |seat: &Seat| (seat.step.name(), imports(seat).unwrap_or_default());
            yard.seats.iter().map(show).collect()
        };
        let mut rows = Vec::with_capacity(seats.len());
        for (word, names) in seats {
            let last = names.last().map_or("", String::as_str);
            let row = [Str::intern(py, word)?.into_any(), Str::new(py, last)?.into_any()];
            rows.push(Tuple::new(py, row)?.into_any());
        }
        List::from_vec(py, rows).map(Owned::into_any)
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        // Nobody waits any more: those that wait for their turn shall not begin.
        self.start.yard.lock().is_over = true;
        self.start.turned.notify_all();
    }
}

#[cfg(test)]
mod tests;
