//! What a reactor answers with by itself, and where it notes all answers. Hot path.

use std::sync::Arc;

use pyre_http::h1::refuse::write_error;
use pyre_http::h1::serialize::{Connection as Persistence, Particulars, ResponseHeads};
use pyre_http::method::Method;
use pyre_interp::job::{Call, Client, Entry, Job};

use crate::direct::files::serve::Files;
use crate::direct::identity;
use crate::log::access::Asked;
use crate::metrics::ledger::{Awaited, Ledger};
use crate::shared::frozen::Frozen;

/// The heads of answers, the ledger, and what is frozen.
pub(crate) struct Responder {
    pub(crate) heads: ResponseHeads,
    pub(crate) ledger: Ledger,
    pub(crate) frozen: Arc<Frozen>,
    pub(crate) files: Files,
}

impl Responder {
    pub(crate) fn new(frozen: Arc<Frozen>, ledger: Ledger) -> Self {
        let settings = &frozen.settings;
        let heads = ResponseHeads::new(
            settings.server_header,
            settings.cors.as_deref(),
            settings.security.clone(),
        );
        Self { heads, ledger, frozen, files: Files::default() }
    }

    /// Answers all that is left of a job, as the system is full (RFC 9110 section 15.6.4).
    #[cold]
    pub(crate) fn refuse_overload(&mut self, job: &mut Job) {
        let left = job.entries.len() - job.next;
        self.ledger.counters.overloaded.add(left as u64);
        answer_rest(&self.heads, job, 503, &[(b"Retry-After", b"1")]);
    }

    /// Answers a request that was not complete in time (RFC 9110 section 15.5.9), in an empty job.
    #[cold]
    pub(crate) fn refuse_late(&mut self, job: &mut Job, from: usize) {
        let received = std::mem::take(&mut job.bytes);
        job.clear();
        let id = self.frozen.routes.gives_ids.then(identity::made);
        let extra = identity::header(id.as_deref());
        let extra = extra.as_slice();
        write_error(self.heads.plain(), &mut job.reply, 408, Persistence::Close, extra, false);
        let id = id.as_deref().unwrap_or_default();
        let asked = Asked::of_refused(&received, from);
        self.ledger.refused(job.client, asked, 408, job.reply.len(), id);
    }

    /// Answers the last request of a job, whose handler has not said what becomes of its handshake.
    #[cold]
    pub(crate) fn refuse_handshake(&mut self, job: &mut Job) {
        let answered = job.next - 1;
        let id = job.identity(answered).id.of(&job.answers).to_vec();
        let id = Some(&id[..]).filter(|id| !id.is_empty());
        let extra = identity::header(id);
        job.reply.clear();
        let extra = extra.as_slice();
        write_error(self.heads.plain(), &mut job.reply, 504, Persistence::Close, extra, false);
        let bytes = job.reply.len();
        if let Some(Entry::Call(call)) = job.entries.get_mut(answered) {
            call.status = 504;
            call.answer_bytes = bytes;
        }
        self.ledger.counters.timed_out.add(1);
    }

    /// Answers a request whose handler has taken too long (RFC 9110 section 15.6.5), in an empty job.
    #[cold]
    pub(crate) fn answer_for(&mut self, awaited: &Awaited, client: Client, job: &mut Job) {
        let is_head = awaited.method == Method::Head;
        let id = Some(&awaited.id[..]).filter(|id| !id.is_empty());
        let extra = identity::header(id);
        let extra = extra.as_slice();
        let (granted, is_https) = (&awaited.origin[..], awaited.is_https);
        let heads = self.heads.particular(Particulars { granted, is_https, nonce: None });
        write_error(heads, &mut job.reply, 504, Persistence::Close, extra, is_head);
        self.ledger.overran(client, awaited, job.reply.len());
    }
}

/// Answers all that is left of a job with one status.
#[cold]
fn answer_rest(heads: &ResponseHeads, job: &mut Job, status: u16, extra: &[(&[u8], &[u8])]) {
    // Its body is not read: where the next request would begin is not known.
    let has_body_coming = job.intake.take().is_some();
    while let Some(&Call { request, .. }) = job.current() {
        let head_only = request.method == Method::Head;
        let connection =
            if has_body_coming { Persistence::Close } else { Persistence::of(&request) };
        let start = job.reply.len();
        let mut reply = std::mem::take(&mut job.reply);
        let extra: Vec<_> = extra.iter().copied().chain(identity::header(job.id())).collect();
        let heads = heads.particular_if(|wants_https| {
            job.entries[job.next].particulars(&job.headers, &job.bytes, None, wants_https)
        });
        write_error(heads, &mut reply, status, connection, &extra, head_only);
        job.reply = reply;
        job.note_answer(status, start);
        job.next += 1;
    }
}
