//! Pages of the server itself: they answer however stuck the interpreters are.

use pyre_http::h1::serialize::{Connection, Heads};

use crate::direct::{health, identity, metrics};
use crate::settings::Page;
use crate::shared::vitals::Vitals;

/// Writes the whole answer of a page and returns its status.
#[cold]
pub(crate) fn write(
    page: Page,
    vitals: &Vitals,
    heads: Heads<'_>,
    out: &mut Vec<u8>,
    connection: Connection,
    head_only: bool,
    id: Option<&[u8]>,
) -> u16 {
    let (status, content_type, body) = match page {
        Page::Metrics => metrics::answer(vitals),
        Page::Live => health::live(),
        Page::Ready => health::ready(&vitals.health),
    };
    let mut head = heads.begin(out, status);
    head.header(b"Content-Type", content_type);
    // What was true a moment ago says nothing about now.
    head.header(b"Cache-Control", b"no-store");
    if let Some((name, id)) = identity::header(id) {
        head.header(name, id);
    }
    head.finish(body.len(), connection);
    if !head_only {
        out.extend_from_slice(body.as_bytes());
    }
    status
}
