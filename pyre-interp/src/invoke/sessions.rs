//! What becomes of the session of a client. It is written behind all that may fail, so that an answer
//! of 500 leaves it as it was: `docs/decisions/sessions.md`.

use std::mem;

use pyre_ffi::{Int, Object, Owned, Raised, Str};

use crate::invoke::application::Handler;
use crate::invoke::stages::{Next, Stage, Stages};
use crate::serialize::answer::{Answer, Body, Later};
use crate::serialize::session_field::SessionField;
use crate::worker::lane::Lane;

impl<'py> Lane<'py, '_> {
    /// Hands an answer over that is ready to be sent, once the session is written if one was read.
    #[inline]
    pub(super) fn hand_over(
        &mut self,
        handler: &Handler,
        stages: &mut Stages<'py>,
        answer: Answer<'py>,
    ) -> Next<'py> {
        if self.app.sessions.is_none() || !self.request.get().has_session(self.py) {
            return Next::Answer(answer);
        }
        self.settle_session(handler, stages, answer)
    }

    #[cold]
    fn settle_session(
        &mut self,
        handler: &Handler,
        stages: &mut Stages<'py>,
        mut answer: Answer<'py>,
    ) -> Next<'py> {
        let settled = if mem::replace(&mut stages.is_settled, true) {
            // It could not be: this answer tells of that.
            self.tell_of_session(&mut answer, None)
        } else {
            stages.stage = Stage::Settling;
            match self.ask_sessions("settle", Some(answer.status)) {
                Ok(Some(coroutine)) if coroutine.is_coroutine() => {
                    // Others are answered meanwhile.
                    stages.waiting = Some((answer, mem::take(&mut self.desk)));
                    return Next::Await(coroutine);
                }
                Ok(cookie) => self.tell_of_session(&mut answer, cookie.as_deref()),
                Err(raised) => Err(raised),
            }
        };
        match settled {
            Ok(()) => Next::Answer(answer),
            Err(raised) => {
                drop(answer);
                self.resume(handler, stages, Err(raised))
            }
        }
    }

    /// A body in pieces begins, whose code can change nothing of the session: what it is now counts.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn close_session(&mut self, stages: &mut Stages<'py>) -> Result<(), Raised> {
        if stages.is_settled || !self.request.get().has_session(self.py) {
            return Ok(());
        }
        stages.stage = Stage::Settling;
        let closed = self.ask_sessions("close", None);
        stages.is_settled = closed.is_err();
        closed.map(drop)
    }

    /// The body has not begun after all.
    #[cold]
    pub(super) fn reopen_session(&mut self) {
        self.request.get().is_headed(false);
        if let Err(raised) = self.ask_sessions("reopen", None) {
            raised.write_unraisable("a session", self.py);
        }
    }

    /// Calls a method of `Sessions` for the request that is loaded, if that has read its session.
    fn ask_sessions(
        &self,
        method: &str,
        status: Option<u16>,
    ) -> Result<Option<Owned<'py>>, Raised> {
        let py = self.py;
        let Some(sessions) =
            self.app.sessions.as_ref().filter(|_| self.request.get().has_session(py))
        else {
            return Ok(None);
        };
        let (sessions, method) = (sessions.bind(py), Str::intern(py, method)?);
        match status {
            None => sessions.call_method1(&method, &*self.request, py),
            Some(status) => {
                let status = Int::new(py, status.into())?;
                sessions.call_method2(&method, &*self.request, &*status, py)
            }
        }
        .map(Some)
    }

    /// Puts into an answer what the session says: that it depends on cookies, and the line that sets one.
    ///
    /// # Errors
    /// `TypeError` or `ValueError` for a line that cannot be one.
    #[cold]
    pub(super) fn tell_of_session(
        &mut self,
        answer: &mut Answer<'py>,
        cookie: Option<&Object>,
    ) -> Result<(), Raised> {
        let field = SessionField::of(cookie, self.py)?;
        if let Body::Later(later) = &mut answer.body {
            match &mut **later {
                Later::Pieces(pieces) => field.put_into(&mut pieces.fields),
                Later::File(_, fields) => field.put_into(fields),
                Later::Socket(socket) => socket.answers_with(field),
            }
        } else {
            field.put_into(&mut self.desk.fields);
        }
        Ok(())
    }
}
