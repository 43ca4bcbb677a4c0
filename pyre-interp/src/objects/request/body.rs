//! The body of a request, as it is, as text and as JSON. What is malformed is the client's fault.

use pyre_ffi::{
    Attached, Bytes, Exception, ExceptionKind, Int, Object, Owned, Raised, Str, Tuple, import,
};

use super::Request;
use crate::objects::source::call_of;
use crate::serialize::json::{self, DecodeFailure};

/// What an exception bears that is the client's fault: whose, and what it stands for. Read in
/// `pyreframework.handlers.faults`.
const FAULT: &str = "_pyre_fault";

impl Request {
    /// Has the whole body in memory, plain. That takes time only on routes that may be asked for it before it
    /// has come, and if its client has compressed it.
    #[inline]
    fn loaded(&self, py: Attached<'_>) -> Result<(), Raised> {
        if self.prepares_bodies { self.load_body(py) } else { Ok(()) }
    }

    pub(super) fn body<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.loaded(py)?;
        self.fields().body.get_or_make(py, || {
            let job = self.job(py)?;
            Bytes::new(py, call_of(&job).request.body.of(&job.bytes)).map(Owned::into_any)
        })
    }

    pub(super) fn text<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.loaded(py)?;
        let text = {
            let job = self.job(py)?;
            Str::utf8(py, call_of(&job).request.body.of(&job.bytes))
        };
        text.map(Owned::into_any).map_err(|raised| self.complain(py, raised))
    }

    pub(super) fn json<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.loaded(py)?;
        let value = {
            let job = self.job(py)?;
            let body = call_of(&job).request.body.of(&job.bytes);
            self.tools.keys.with(py, |keys| json::decode(py, body, keys)).map_err(|failure| {
                match failure {
                    DecodeFailure::Malformed(error) => {
                        Raised::value_error(py, &error.message(body))
                    }
                    DecodeFailure::Raised(raised) => raised,
                }
            })
        };
        value.map_err(|raised| self.complain(py, raised))
    }

    /// Marks the exception that says that the client sent something malformed: if the handler lets it
    /// through, the answer is 400.
    fn complain(&self, py: Attached<'_>, raised: Raised) -> Raised {
        let exception = raised.take(py);
        let is_of_client = exception.is_kind(ExceptionKind::ValueError);
        let raised = Raised::restore(py, exception);
        if is_of_client { self.complain_of(py, raised, 400) } else { raised }
    }

    /// As [`Self::complain`], with what stands for the exception if the handler lets it through. It bears
    /// that itself: several readers may get one each.
    #[cold]
    pub(super) fn complain_of(&self, py: Attached<'_>, raised: Raised, status: u16) -> Raised {
        let exception = raised.take(py);
        let marked = self.id(py).and_then(|id| {
            let mark = [id.into_any(), Int::new(py, status.into())?.into_any()];
            exception.set_attr(&*Str::intern(py, FAULT)?, &*Tuple::new(py, mark)?, py)
        });
        self.fields().has_complained.set(true);
        match marked {
            Ok(()) => Raised::restore(py, exception),
            Err(raised) => raised,
        }
    }

    /// The status that this exception stands for, and what there is to say of it, if it is one that told the
    /// handler of a body that is malformed, or that has no end, or comes of such ones alone.
    #[cold]
    pub(crate) fn complaint<'py>(
        &self,
        exception: &Object<Exception>,
        py: Attached<'py>,
    ) -> Option<(u16, Option<Owned<'py>>)> {
        // A file of a form complains by itself.
        let may_be =
            self.has_others() && (self.fields.has_complained.get() || !self.fields.form.is_empty());
        if !may_be {
            return None;
        }
        let found = import(py, "pyreframework.handlers.faults").and_then(|faults| {
            let answer_of = faults.attr(&*Str::intern(py, "answer_of")?, py)?;
            answer_of.call2(exception, &*self.id(py)?, py)
        });
        match found {
            Ok(found) => {
                let [status, detail] = found.cast::<Tuple>()?.items() else { return None };
                let status = status.cast::<Int>().and_then(|status| status.as_i64());
                let status = status.and_then(|status| u16::try_from(status).ok())?;
                Some((status, (!detail.is_none()).then(|| Object::to_owned(detail, py))))
            }
            Err(raised) => {
                raised.write_unraisable("what a client has done wrong", py);
                None
            }
        }
    }
}
