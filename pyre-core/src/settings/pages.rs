//! Pages of the server itself, and where they are found.

use std::sync::Arc;

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

/// Reads pages as "metrics /metrics", "live /livez" and "ready /readyz".
pub(crate) fn parse_pages(texts: &[String]) -> Option<Pages> {
    let pages = texts.iter().map(|text| {
        let (name, path) = text.split_once(' ')?;
        let page = match name {
            "metrics" => Page::Metrics,
            "live" => Page::Live,
            "ready" => Page::Ready,
            _ => return None,
        };
        path.starts_with('/').then(|| (path.to_owned(), page))
    });
    pages.collect::<Option<Vec<_>>>().map(Pages::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_a_name_and_a_path() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let pages = parse_pages(&texts(&["live /livez", "metrics /a/b"])).unwrap();
        assert_eq!(pages.find(b"/a/b"), Some((1, Page::Metrics)));
        for wrong in ["", "live", "live livez", "alive /livez"] {
            assert!(parse_pages(&texts(&[wrong])).is_none(), "{wrong}");
        }
    }

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
