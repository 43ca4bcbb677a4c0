//! Pages that reactors answer by themselves: they answer however stuck the interpreters are.

pub(crate) mod health; // is the process alive, is it ready
pub(crate) mod metrics; // what the server counts

use std::sync::Arc;

use pyre_http::h1::serialize::{Connection, ResponseHeads};

use crate::inbound::identity;
use crate::shared::vitals::Vitals;

/// A page of the server itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Page {
    Metrics,
    Live,
    Ready,
}

/// The pages that are switched on, each at the path it was given.
#[derive(Clone, Default, Debug)]
pub(crate) struct Pages(Arc<[(String, Page)]>);

impl Pages {
    pub(crate) fn new(pages: Vec<(String, Page)>) -> Self {
        Self(pages.into())
    }

    /// The page at a path, and its index.
    #[inline]
    pub(crate) fn find(&self, path: &[u8]) -> Option<(usize, Page)> {
        let found = self.0.iter().enumerate().find(|(_, (known, _))| known.as_bytes() == path)?;
        Some((found.0, found.1.1))
    }

    pub(crate) fn path(&self, index: usize) -> &str {
        &self.0[index].0
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// Writes the whole answer of a page and returns its status.
#[cold]
pub(crate) fn write(
    page: Page,
    vitals: &Vitals,
    heads: &ResponseHeads,
    out: &mut Vec<u8>,
    connection: Connection,
    head_only: bool,
    id: Option<&[u8]>,
) -> u16 {
    let (status, content_type, body) = match page {
        Page::Metrics => metrics::answer(vitals),
        Page::Live => health::live(),
        Page::Ready => vitals.health.ready(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_found_by_their_whole_path() {
        let pages = Pages::new(vec![
            ("/metrics".to_owned(), Page::Metrics),
            ("/readyz".to_owned(), Page::Ready),
        ]);
        assert_eq!(pages.find(b"/readyz"), Some((1, Page::Ready)));
        assert_eq!(pages.path(0), "/metrics");
        for path in [&b"/"[..], b"/readyz/", b"/READYZ", b""] {
            assert_eq!(pages.find(path), None);
        }
    }
}
