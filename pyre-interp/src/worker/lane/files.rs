//! Answers whose body is a file: the lane writes the head, the reactor sends the rest.

use std::sync::atomic::Ordering::Relaxed;

use pyre_http::date;
use pyre_http::files::answer::{self, Asked, Payload, Piece, Representation, etag};
use pyre_http::files::condition::Validators;
use pyre_http::h1::serialize::Connection;
use pyre_http::status::has_body;

use super::{Lane, is_body_coming};
use crate::flow::{Downstream, Transfer};
use crate::job::{Entry, Job, NonceOf, REQUEST_ID_HEADER};
use crate::objects::file::FileBody;
use crate::objects::request_id;
use crate::serialize::fields::Fields;
use crate::serialize::wire::Manner;

impl Lane<'_, '_> {
    /// [`Lane::finish`] for a file.
    #[cold]
    pub(super) fn finish_file(
        &mut self,
        status: u16,
        body: &FileBody,
        mut fields: Fields,
        mut manner: Manner,
    ) -> Box<Job> {
        self.take_tasks();
        self.context = None;
        let mut job = self.unload();
        let is_last = job.next + 1 == job.entries.len();
        // Relaxed: as in `finish`.
        let drains = is_last && self.shared.draining.load(Relaxed);
        if drains || job.intake.is_some() && is_body_coming(&job) {
            manner.connection = Connection::Close;
            job.closes = true;
        }
        if let Some(id) = job.id() {
            fields.push_if_absent(REQUEST_ID_HEADER, id);
        }
        let Entry::Call(call) = &job.entries[job.next] else {
            unreachable!("a lane answers calls");
        };
        let mut request = call.request;
        request.keep_alive &= manner.connection != Connection::Close;
        let start = job.reply.len();
        let heads = self.heads.particular_if(|wants_https| {
            let nonce = NonceOf::entry(job.nonce.as_ref(), job.next);
            job.entries[job.next].particulars(&job.headers, &job.bytes, nonce, wants_https)
        });
        let said = fields.iter().filter(|(name, _)| !heads.says(name));
        if !has_body(status) {
            let mut head = heads.begin(&mut job.reply, status);
            for (name, value) in said {
                head.header(name, value);
            }
            head.finish(0, manner.connection);
            job.note_answer(status, start);
            self.desk.clear();
            return job;
        }
        let (others, about): (Vec<_>, Vec<_>) =
            said.partition(|(name, _)| !is_about_the_file(name));
        let described = Described::of(status, body, about.into_iter(), job.now_s);
        let asked = Asked {
            request: &request,
            fields: request.headers_in(&job.headers),
            bytes: &job.bytes,
            extra: &others,
            now_s: job.now_s,
        };
        let file = described.representation(body.size);
        let (status, payload) =
            answer::write(heads, &mut job.reply, status, &file, asked, request_id::next);
        let pieces = match payload {
            Payload::None => Vec::new(),
            Payload::Whole => vec![Piece::Part(0, body.size)],
            Payload::Pieces(pieces) => pieces,
        };
        if !pieces.is_empty() {
            job.flow = Some(Downstream::of_file(Transfer::new(body.file.clone(), pieces)));
        }
        job.note_answer(status, start);
        self.desk.clear();
        job
    }
}

/// What is said of a file that 304 has as well (RFC 9110 section 15.4.5).
const KEPT: [&str; 4] = ["ETag", "Cache-Control", "Expires", "Content-Location"];

/// What else is said of a file: neither 304 has it, nor an error in its place.
const DESCRIBED: [&str; 7] = [
    "Content-Type",
    "Content-Encoding",
    "Content-Language",
    "Content-Disposition",
    "Content-Range",
    "Last-Modified",
    "Accept-Ranges",
];

/// Whether a field is not for whatever is answered in place of the file.
fn is_about_the_file(name: &[u8]) -> bool {
    KEPT.iter().chain(&DESCRIBED).any(|it| name.eq_ignore_ascii_case(it.as_bytes()))
}

/// What is said of a file, by the handler or else by itself.
struct Described {
    content_type: Vec<u8>,
    etag: Vec<u8>,
    modified_s: u64,
    kept: Vec<u8>,
    described: Vec<u8>,
}

impl Described {
    fn of<'a>(
        status: u16,
        body: &FileBody,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        now_s: u64,
    ) -> Self {
        let mut found = Self {
            content_type: body.content_type.clone().into_bytes(),
            etag: etag(body.modified, body.size).into_bytes(),
            // RFC 9110 section 8.8.2.1: it is not later than the answer.
            modified_s: u64::try_from(body.modified.0).unwrap_or(0).min(now_s),
            kept: Vec::new(),
            described: Vec::new(),
        };
        let mut own = [("ETag", true), ("Last-Modified", false), ("Accept-Ranges", false)]
            .map(|(name, is_kept)| (name, is_kept, true));
        for (name, value) in fields {
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            for (field, _, is_missing) in &mut own {
                *is_missing &= !is(field);
            }
            if is("Content-Type") {
                found.content_type = value.to_vec();
                continue;
            }
            if is("Content-Range") && status == 200 {
                // Which part of the file is sent is not for the handler to say.
                continue;
            }
            if is("ETag") {
                found.etag = value.to_vec();
            } else if is("Last-Modified")
                && let Some(modified_s) = date::parse(value, now_s)
            {
                found.modified_s = modified_s;
            }
            let is_kept = KEPT.iter().any(|kept| is(kept));
            let place = if is_kept { &mut found.kept } else { &mut found.described };
            push(place, name, value);
        }
        for (name, is_kept, is_missing) in own {
            if is_missing {
                let date = date::imf_fixdate(found.modified_s);
                let value = match name {
                    "ETag" => &found.etag[..],
                    "Last-Modified" => &date,
                    _ => b"bytes",
                };
                let value = value.to_vec();
                let place = if is_kept { &mut found.kept } else { &mut found.described };
                push(place, name.as_bytes(), &value);
            }
        }
        found
    }

    fn representation(&self, size: u64) -> Representation<'_> {
        Representation {
            size,
            validators: Validators { etag: &self.etag, modified_s: self.modified_s },
            content_type: &self.content_type,
            kept: &self.kept,
            described: &self.described,
        }
    }
}

/// Adds a field as it stands behind the end of the line before.
fn push(fields: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [b"\r\n", name, b": ", value] {
        fields.extend_from_slice(part);
    }
}
