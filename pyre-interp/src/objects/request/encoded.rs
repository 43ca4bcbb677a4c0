//! A body that its client has compressed (RFC 9110 section 8.4), made plain, if the app has that done.

use pyre_ffi::{Attached, Exception, Int, Owned, Raised, Str, import};
use pyre_http::compression::{Decoder, Malformed};
use pyre_http::files::coding::Coding;

use super::Request;
use crate::flow::{Found, Intake};
use crate::job::Job;
use crate::objects::fields::header_table;
use crate::objects::source::call_of;

/// From so many bytes on others run meanwhile.
const APART_BYTES: usize = 4096;

/// No more than this goes in at once of a body in pieces, or comes out: nobody else runs meanwhile.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// Where the decoding of a body in pieces stands.
pub(crate) struct Decoding {
    coding: Coding,
    decoder: Decoder,
    /// What has come, and how much of it was decoded.
    input: Vec<u8>,
    taken: usize,
    /// What is wrong with it: nothing comes behind that.
    refusal: Option<Refusal>,
}

impl Decoding {
    fn new(coding: Coding, bytes_max: usize) -> Self {
        let decoder = Decoder::new(coding, bytes_max);
        Self { coding, decoder, input: Vec::new(), taken: 0, refusal: None }
    }

    /// What its reader is told, now and whenever he asks again.
    fn fail(&mut self, wrong: Malformed) -> Refusal {
        *self.refusal.insert(Refusal::Malformed(self.coding, wrong))
    }

    /// Whether nothing comes out before more has come.
    fn wants_input(&self) -> bool {
        self.taken == self.input.len() && !self.decoder.may_have_more()
    }

    /// Takes what comes next, of the rest of what is in memory or else of the flow.
    fn take(
        &mut self,
        rest: Vec<u8>,
        intake: Option<&Intake>,
        most: usize,
        into: &mut Vec<u8>,
    ) -> Result<Found, Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        if self.wants_input() {
            let mut input = rest;
            let found = match intake {
                _ if !input.is_empty() => Found::Some,
                Some(intake) => intake.take(usize::MAX, &mut input),
                None => Found::End,
            };
            match found {
                Found::Some => (self.input, self.taken) = (input, 0),
                Found::End => self.decoder.end().map_err(|wrong| self.fail(wrong))?,
                Found::Nothing | Found::Cut(_) => {}
            }
            if found != Found::Some {
                return Ok(found);
            }
        }
        let most = most.min(PIECE_BYTES_MAX);
        let input = &self.input[self.taken..];
        match self.decoder.push(&input[..input.len().min(PIECE_BYTES_MAX)], most, into) {
            Ok(taken) => self.taken += taken,
            Err(wrong) => {
                let refusal = self.fail(wrong);
                // What came before that is right.
                if into.is_empty() {
                    return Err(refusal);
                }
            }
        }
        if self.taken == self.input.len() {
            (self.input, self.taken) = (Vec::new(), 0);
        }
        // What has come may stand for nothing; whoever waits is asked then whether to go on.
        Ok(if into.is_empty() { Found::Nothing } else { Found::Some })
    }
}

/// Why a body is not made plain.
#[derive(Clone, Copy)]
enum Refusal {
    /// Its coding is none that is known, or one of several on top of each other.
    Unknown,
    Malformed(Coding, Malformed),
}

impl Request {
    /// Has a body that is whole in memory plain there.
    ///
    /// # Errors
    /// `BodyError`: the client is to blame.
    #[cold]
    pub(super) fn decode_whole(&self, py: Attached<'_>) -> Result<(), Raised> {
        let Some(bytes_max) = self.decodes else { return Ok(()) };
        if self.fields().is_plain.get() {
            return Ok(());
        }
        let found = {
            let job = self.job(py)?;
            let body = call_of(&job).request.body.of(&job.bytes);
            // A copy: whoever else has the request reads it meanwhile.
            match body {
                [] => Ok(None),
                body => coding_of(&job).map(|coding| coding.map(|coding| (coding, body.to_vec()))),
            }
        };
        let Some((coding, encoded)) = found.map_err(|refusal| self.refuse(py, refusal))? else {
            self.fields().is_plain.set(true);
            return Ok(());
        };
        let decode = || {
            let mut plain = Vec::new();
            let mut decoder = Decoder::new(coding, bytes_max);
            decoder.push(&encoded, usize::MAX, &mut plain)?;
            decoder.end().map(|()| plain)
        };
        let decoded = if encoded.len() < APART_BYTES { decode() } else { py.detach(decode) };
        let plain = decoded.map_err(|wrong| self.refuse(py, Refusal::Malformed(coding, wrong)))?;
        // Somebody else may have been faster.
        if self.fields().is_plain.get() {
            return Ok(());
        }
        if self.source.change(|job| Some(job.replace_body(&plain))) != Some(true) {
            return Err(self.refuse(py, Refusal::Malformed(coding, Malformed::TooLong)));
        }
        self.fields().is_plain.set(true);
        Ok(())
    }

    /// As `take_into`, of a body that comes in pieces; none if it comes plain.
    ///
    /// # Errors
    /// As of `decode_whole`.
    #[cold]
    pub(super) fn take_decoded(
        &self,
        py: Attached<'_>,
        most: usize,
        into: &mut Vec<u8>,
    ) -> Result<Option<Found>, Raised> {
        let Some(bytes_max) = self.decodes else { return Ok(None) };
        let fields = self.fields();
        let (coding, intake) = {
            let job = self.job(py)?;
            (coding_of(&job), job.intake.clone())
        };
        let Some(coding) = coding.map_err(|refusal| self.refuse(py, refusal))? else {
            fields.is_plain.set(true);
            return Ok(None);
        };
        let mut rest = Vec::new();
        if fields.decoding.borrow().as_ref().is_none_or(|decoding| decoding.wants_input()) {
            rest = self.rest_in_memory(py)?;
        }
        // Python code runs behind this: whoever else has the request may read it then.
        let found = {
            let mut decoding = fields.decoding.borrow_mut();
            let made = || Box::new(Decoding::new(coding, bytes_max));
            decoding.get_or_insert_with(made).take(rest, intake.as_ref(), most, into)
        };
        found.map(Some).map_err(|refusal| self.refuse(py, refusal))
    }

    /// Whether something that has come is still to be decoded, so that nobody waits for more.
    pub(super) fn is_decoding(&self) -> bool {
        let decoding = self.fields().decoding.borrow();
        decoding.as_ref().is_some_and(|it| it.refusal.is_some() || !it.wants_input())
    }

    /// What is in memory of the body and was not taken, which it is now.
    fn rest_in_memory(&self, py: Attached<'_>) -> Result<Vec<u8>, Raised> {
        let taken = &self.fields().taken;
        let job = self.job(py)?;
        let body = call_of(&job).request.body.of(&job.bytes);
        let rest = body[taken.get()..].to_vec();
        taken.set(body.len());
        Ok(rest)
    }

    fn refuse(&self, py: Attached<'_>, refusal: Refusal) -> Raised {
        let (status, coding) = match refusal {
            Refusal::Unknown => (415, ""),
            Refusal::Malformed(coding, Malformed::Wrong) => (400, coding.token()),
            Refusal::Malformed(coding, Malformed::TooLong) => (413, coding.token()),
        };
        let made = || -> Result<Owned<'_, Exception>, Raised> {
            let compressing = import(py, "pyreframework.compressing")?;
            let refusal = compressing.attr(&*Str::intern(py, "refusal")?, py)?;
            let status = Int::new(py, status.into())?;
            let told = refusal.call2(&*status, &*Str::new(py, coding)?, py)?;
            told.downcast::<Exception>()
                .map_err(|_| Raised::type_error(py, "refusal() returns an exception"))
        };
        match made() {
            Ok(exception) => self.complain_of(py, Raised::restore(py, exception), status),
            Err(raised) => raised,
        }
    }
}

/// Which coding a request says that its body has; none if it is plain.
///
/// RFC 9110 section 8.4: several may lie on top of each other, which nobody uses.
fn coding_of(job: &Job) -> Result<Option<Coding>, Refusal> {
    let fields = header_table(job).iter();
    let named =
        fields.filter(|field| field.name.of(&job.bytes).eq_ignore_ascii_case(b"content-encoding"));
    let tokens = named.flat_map(|field| field.value.of(&job.bytes).split(|byte| *byte == b','));
    let mut tokens = tokens
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty() && !token.eq_ignore_ascii_case(b"identity"));
    let Some(token) = tokens.next() else { return Ok(None) };
    if tokens.next().is_some() {
        return Err(Refusal::Unknown);
    }
    Coding::of_token(token).map(Some).ok_or(Refusal::Unknown)
}
