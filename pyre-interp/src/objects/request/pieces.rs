//! The body of a request in pieces: as it comes, if its route takes it so, or what is there of it.
//!
//! What was read into memory lies behind the head in the job; what follows is in the flow.

use std::time::Duration;

use pyre_ffi::{
    Arguments, Attached, Bool, Bytes, Instance, Int, Object, Owned, Raised, Signature, Str, import,
    none,
};
use pyre_http::message::BodyFraming;
use pyre_http::status::CLIENT_CLOSED_REQUEST;

use super::Request;
use crate::flow::{Cut, Found, Intake, Waker, Wakes};
use crate::objects::source::call_of;

/// A thread that waits looks this often whether it is to be interrupted.
const LOOK: Duration = Duration::from_millis(100);

const READ: Signature<1> =
    Signature { function: "read", names: ["n"], required: 0, positional_max: 1 };

/// What was taken of a body.
enum Taken {
    Bytes(Vec<u8>),
    Nothing,
    End,
}

/// How much of a body is in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gathered {
    All,
    Part,
    /// None will be: it is read in pieces.
    Never,
}

impl Request {
    /// `stream()`: the body in pieces, for `for` and `async for`.
    pub(super) fn stream<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [] = given.parse(&Signature::all("stream", []), py)?;
        this.job(py)?;
        helper(py, "stream")?.call1(this, py)
    }

    /// `read(n=-1)`: so many bytes, fewer only at the end; awaited in a coroutine.
    pub(super) fn read<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [size] = given.parse(&READ, py)?;
        let size = match size.filter(|size| !size.is_none()) {
            None => -1,
            Some(size) => match size.cast::<Int>().map(|number| number.as_i64()) {
                Some(number) => number.unwrap_or(i64::MAX),
                None => {
                    let text = format!("n must be an int, not {}", size.type_name());
                    return Err(Raised::type_error(py, &text));
                }
            },
        };
        if is_in_coroutine(py)? {
            return helper(py, "read")?.call2(this, &*Int::new(py, size)?, py);
        }
        let Ok(mut left) = usize::try_from(size) else { return this.read_all(py) };
        let mut all = Vec::new();
        while left > 0 {
            match this.take_or_wait(py, left)? {
                Taken::Bytes(bytes) if all.is_empty() => all = bytes,
                Taken::Bytes(bytes) => all.extend_from_slice(&bytes),
                Taken::Nothing | Taken::End => break,
            }
            left = usize::try_from(size).unwrap_or(usize::MAX).saturating_sub(all.len());
            look(py)?;
        }
        Bytes::new(py, &all).map(Owned::into_any)
    }

    /// All that is left of it. If nothing was read before, that is the body from now on.
    fn read_all<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        if !self.fields().is_read.get() && self.wait_for_all(py)? == Gathered::All {
            return self.whole(py);
        }
        let mut all = Vec::new();
        while let Taken::Bytes(bytes) = self.take_or_wait(py, usize::MAX)? {
            all.extend_from_slice(&bytes);
            look(py)?;
        }
        Bytes::new(py, &all).map(Owned::into_any)
    }

    /// The body, which is in memory, to one who reads it: nothing is left then.
    fn whole<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let body = self.body(py)?;
        self.fields().is_read.set(true);
        Ok(body)
    }

    /// Whoever runs next may read from the beginning what somebody before has read as a whole.
    pub(crate) fn rewind(&self) {
        if self.has_others() {
            self.fields.is_read.set(false);
        }
    }

    /// `_next_piece()`: what comes next, empty at the end. Waits for it.
    pub(super) fn next_piece<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        if is_in_coroutine(py)? {
            let text = "the body may still be coming: in a coroutine it is read by \
                        `async for piece in req.stream()`";
            return Err(Raised::runtime_error(py, text));
        }
        match self.take_or_wait(py, usize::MAX)? {
            Taken::Bytes(bytes) => Bytes::new(py, &bytes).map(Owned::into_any),
            Taken::Nothing | Taken::End => Bytes::new(py, b"").map(Owned::into_any),
        }
    }

    /// `_take(n)`: at most so many bytes, any number if that is below 0; empty at the end. None: there are
    /// none yet.
    pub(super) fn take_piece<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [size] = given.parse(&Signature::all("_take", ["n"]), py)?;
        let size = size.expect("it is required");
        let size = size.cast::<Int>().and_then(|number| number.as_i64());
        let bytes_max = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
        match self.take(py, bytes_max)? {
            Taken::Bytes(bytes) => Bytes::new(py, &bytes).map(Owned::into_any),
            Taken::Nothing => Ok(none(py)),
            Taken::End => Bytes::new(py, b"").map(Owned::into_any),
        }
    }

    /// `_gather()`: all of the body, which counts as read, once it is in memory; False until then. None: it
    /// never will be, as some of it was read.
    pub(super) fn gather_all<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        if self.fields().is_read.get() {
            return Ok(none(py));
        }
        match self.gather(py)? {
            Gathered::All => self.whole(py),
            Gathered::Part => Ok(Bool::new(py, false).into_any()),
            Gathered::Never => Ok(none(py)),
        }
    }

    /// `_wait(seconds)`: waits until there is something to take, on a thread that has no event loop.
    pub(super) fn wait_for_piece<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        if let Some(intake) = self.intake(py)?
            && !self.is_decoding()
        {
            py.detach(move || intake.wait(LOOK));
        }
        Ok(none(py))
    }

    /// `_listen()`: has the event loop told when there is something to take. Returns what it is told, or
    /// None if there is no event loop.
    pub(super) fn listen<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let Some((intake, wakes)) = self.intake(py)?.zip(self.app.wakes.get()) else {
            return Ok(none(py));
        };
        let number = intake.number().unwrap_or_else(|| {
            let number = Wakes::next_number();
            intake.set_waker(Waker { wakes: wakes.clone(), number });
            number
        });
        Int::from_u64(py, number).map(Owned::into_any)
    }

    /// `_ask()`: whether there is nothing, so that the loop is told when there is.
    pub(super) fn ask_for_piece<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let is_empty =
            !self.is_decoding() && self.intake(py)?.is_some_and(|intake| intake.ask_for_some());
        Ok(Bool::new(py, is_empty).into_any())
    }

    /// Where more of the body comes from, if more may come.
    pub(super) fn intake(&self, py: Attached<'_>) -> Result<Option<Intake>, Raised> {
        Ok(self.job(py)?.intake.clone())
    }

    /// Has all of the body in memory, for whoever asks for it as a whole.
    ///
    /// # Errors
    /// `RuntimeError` in a coroutine, which is not to wait here, and if a part was read; what has kept the
    /// body from coming.
    #[cold]
    pub(super) fn load_body(&self, py: Attached<'_>) -> Result<(), Raised> {
        if self.fields().is_loaded.get() || !self.comes_in_pieces(py)? {
            return self.decode_whole(py);
        }
        // Also where it has come at once, as that is up to the client.
        if is_in_coroutine(py)? && !self.is_begun(py)? {
            let text = "the body may still be coming: `await req.read()` first, which returns it as \
                        well";
            return Err(Raised::runtime_error(py, text));
        }
        match self.wait_for_all(py)? {
            Gathered::Never => Err(Raised::runtime_error(
                py,
                "a part of the body has been read by stream(), read(), form() or parts(): it is not there as a \
                 whole",
            )),
            Gathered::All | Gathered::Part => Ok(()),
        }
    }

    /// Whether there is a body which its route takes as it comes.
    pub(super) fn comes_in_pieces(&self, py: Attached<'_>) -> Result<bool, Raised> {
        let job = self.job(py)?;
        let call = call_of(&job);
        let has_body = !matches!(call.request.framing, BodyFraming::None | BodyFraming::Length(0));
        Ok(has_body && self.app.handler(call.target).takes_body)
    }

    /// Whether a part of the body was taken, so that it is never there as a whole.
    pub(super) fn is_begun(&self, py: Attached<'_>) -> Result<bool, Raised> {
        let is_taken = self.fields().taken.get() > 0;
        Ok(is_taken || self.intake(py)?.is_some_and(|intake| intake.is_begun()))
    }

    fn wait_for_all(&self, py: Attached<'_>) -> Result<Gathered, Raised> {
        loop {
            match self.gather(py)? {
                Gathered::Part => self.wait(py)?,
                gathered => return Ok(gathered),
            }
        }
    }

    /// Puts what has come of the body behind what is in memory of it.
    fn gather(&self, py: Attached<'_>) -> Result<Gathered, Raised> {
        let fields = self.fields();
        if fields.taken.get() > 0 {
            return Ok(Gathered::Never);
        }
        let found = self.source.change(|job| {
            let intake = job.intake.as_ref().filter(|intake| !intake.is_begun());
            let Some(intake) = intake else { return job.intake.as_ref().map(|_| Found::Some) };
            let found = intake.drain(&mut job.bytes);
            job.extend_body();
            Some(found)
        });
        match found {
            // What is begun is not gathered.
            Some(Found::Some) => Ok(Gathered::Never),
            Some(Found::Nothing) => Ok(Gathered::Part),
            Some(Found::Cut(cut)) => Err(self.cut_off(py, cut)),
            Some(Found::End) | None => {
                fields.is_loaded.set(true);
                self.decode_whole(py)?;
                Ok(Gathered::All)
            }
        }
    }

    /// Takes at most so many bytes, as many as there are, into what is empty.
    pub(super) fn take_into(
        &self,
        py: Attached<'_>,
        bytes_max: usize,
        into: &mut Vec<u8>,
    ) -> Result<Found, Raised> {
        let fields = self.fields();
        if fields.is_read.get() {
            return Ok(Found::End);
        }
        if self.decodes.is_some() && !fields.is_plain.get() {
            if fields.is_loaded.get() || !self.comes_in_pieces(py)? {
                self.decode_whole(py)?;
            } else if let Some(found) = self.take_decoded(py, bytes_max, into)? {
                return Ok(found);
            }
        }
        let job = self.job(py)?;
        let left = &call_of(&job).request.body.of(&job.bytes)[fields.taken.get()..];
        if !left.is_empty() {
            let piece = &left[..left.len().min(bytes_max)];
            fields.taken.set(fields.taken.get() + piece.len());
            into.extend_from_slice(piece);
            return Ok(Found::Some);
        }
        Ok(job.intake.as_ref().map_or(Found::End, |intake| intake.take(bytes_max, into)))
    }

    fn take(&self, py: Attached<'_>, bytes_max: usize) -> Result<Taken, Raised> {
        let mut bytes = Vec::new();
        match self.take_into(py, bytes_max, &mut bytes)? {
            Found::Some => Ok(Taken::Bytes(bytes)),
            Found::Nothing => Ok(Taken::Nothing),
            Found::End => Ok(Taken::End),
            Found::Cut(cut) => Err(self.cut_off(py, cut)),
        }
    }

    fn take_or_wait(&self, py: Attached<'_>, bytes_max: usize) -> Result<Taken, Raised> {
        loop {
            match self.take(py, bytes_max)? {
                Taken::Nothing => self.wait(py)?,
                taken => return Ok(taken),
            }
        }
    }

    /// Waits until there is something to find.
    ///
    /// # Errors
    /// What interrupts the handler, also if something has come: to whoever goes on reading in here, bytes
    /// may keep coming.
    fn wait(&self, py: Attached<'_>) -> Result<(), Raised> {
        let Some(intake) = self.intake(py)? else { return Ok(()) };
        if self.is_decoding() {
            // Others have a turn all the same.
            py.detach(std::thread::yield_now);
            return look(py);
        }
        loop {
            let found = py.detach(|| intake.wait(LOOK));
            look(py)?;
            if found != Found::Nothing {
                return Ok(());
            }
        }
    }

    /// The exception for a body that has no end.
    #[cold]
    pub(super) fn cut_off(&self, py: Attached<'_>, cut: Cut) -> Raised {
        match cut {
            Cut::Gone => {
                let text = Str::new(py, "the client has gone before the end of the body");
                match helper(py, "ClientGone").and_then(|class| Ok((class, text?))) {
                    Ok((class, text)) => {
                        let raised = Raised::with(py, &class, &text);
                        self.complain_of(py, raised, CLIENT_CLOSED_REQUEST)
                    }
                    Err(raised) => raised,
                }
            }
            Cut::Answered => Raised::runtime_error(
                py,
                "the request has been answered: what is left of its body is not read",
            ),
            Cut::Refused(status) => {
                let class = import(py, "pyreframework.errors")
                    .and_then(|errors| errors.attr(&*Str::intern(py, "HTTPError")?, py));
                match class.and_then(|class| Ok((class, Int::new(py, status.into())?))) {
                    Ok((class, told)) => {
                        self.complain_of(py, Raised::with(py, &class, &told), status)
                    }
                    Err(raised) => raised,
                }
            }
        }
    }
}

/// Something of the Python side, which is imported with the first body that is read in pieces.
fn helper<'py>(py: Attached<'py>, name: &str) -> Result<Owned<'py>, Raised> {
    import(py, "pyreframework.handlers.bodies")?.attr(&*Str::intern(py, name)?, py)
}

/// Raises what is to interrupt the handler, if anything: that is raised where Python code runs.
fn look(py: Attached<'_>) -> Result<(), Raised> {
    helper(py, "look")?.call0(py).map(drop)
}

/// Whether an event loop runs on this thread, which is not to wait.
fn is_in_coroutine(py: Attached<'_>) -> Result<bool, Raised> {
    helper(py, "is_in_coroutine")?.call0(py)?.is_true(py)
}
