//! Paths with parameters: a tree of segments, the most particular branch first.
//! Hot path.
//!
//! At each segment a look-up tries static text, then parameters (more static text around them
//! first, then by converter), then `{rest:path}`, then `{*rest}`, and goes back when a branch leads
//! nowhere. Every segment of a path meets one level of the tree, so no node is visited twice: a
//! look-up is linear in the size of the table, whatever the path.

use std::cmp::{Ordering, Reverse};

use pyre_http::span::Span;

use super::converter::Converter;
use super::pattern::{Pattern, Segment, Shape};
use super::spelling::Decoded;

const ROOT: usize = 0;

/// The tree. `endpoint` numbers belong to the caller.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

/// What may follow a slash.
#[derive(Default, Debug)]
struct Node {
    /// The pattern that ends with the segment leading here.
    endpoint: Option<u32>,
    /// Sorted by length, then text: most comparisons end with the length.
    statics: Vec<(Box<[u8]>, usize)>,
    /// Sorted by what is tried first.
    parameters: Vec<(Shape, usize)>,
    /// `{rest:path}` from here on.
    path: Option<u32>,
    /// `{*rest}` from here on.
    rest: Option<u32>,
}

/// A path during its look-up.
pub(super) struct Lookup<'a, F> {
    /// The path as it was sent.
    pub(super) path: &'a [u8],
    /// Whether it contains a `%`.
    pub(super) encoded: bool,
    /// Where the path begins in the buffer that spans point into.
    pub(super) path_offset: u32,
    /// Receives the parameters of the match.
    pub(super) params: &'a mut Vec<Span>,
    /// Says of each matching endpoint, best first, whether it is the wanted one.
    pub(super) is_wanted: F,
}

impl Default for Tree {
    fn default() -> Self {
        Tree { nodes: vec![Node::default()] }
    }
}

impl Tree {
    /// The place that holds the endpoint of `pattern`, made if there was none.
    pub(super) fn endpoint_mut(&mut self, pattern: &Pattern) -> &mut Option<u32> {
        let mut at = ROOT;
        for segment in &pattern.segments {
            at = match segment {
                Segment::Static(text) => self.static_child(at, text),
                Segment::Parameter(shape) => self.parameter_child(at, shape),
                Segment::Rest(Converter::Path) => return &mut self.nodes[at].path,
                Segment::Rest(_) => return &mut self.nodes[at].rest,
            };
        }
        &mut self.nodes[at].endpoint
    }

    fn static_child(&mut self, at: usize, text: &[u8]) -> usize {
        let fresh = self.nodes.len();
        let statics = &mut self.nodes[at].statics;
        match statics
            .binary_search_by(|(each, _)| by_length(each, text.len(), || (**each).cmp(text)))
        {
            Ok(index) => statics[index].1,
            Err(index) => {
                statics.insert(index, (text.into(), fresh));
                self.add_node()
            }
        }
    }

    fn parameter_child(&mut self, at: usize, shape: &Shape) -> usize {
        let fresh = self.nodes.len();
        let parameters = &mut self.nodes[at].parameters;
        if let Some((_, child)) = parameters.iter().find(|(each, _)| each == shape) {
            return *child;
        }
        let rank =
            |shape: &Shape| (Reverse(shape.prefix.len() + shape.suffix.len()), shape.converter);
        let index = parameters.partition_point(|(each, _)| rank(each) <= rank(shape));
        parameters.insert(index, (shape.clone(), fresh));
        self.add_node()
    }

    fn add_node(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    /// Whether a wanted endpoint matches; if so its parameters have been pushed, else none.
    pub(super) fn find<F: FnMut(u32) -> bool>(&self, lookup: &mut Lookup<'_, F>) -> bool {
        lookup.path.first() == Some(&b'/') && self.find_from(ROOT, 1, lookup)
    }

    /// Matches `path[start..]`, which follows a slash, against what follows node `at`.
    fn find_from<F: FnMut(u32) -> bool>(
        &self,
        at: usize,
        start: usize,
        lookup: &mut Lookup<'_, F>,
    ) -> bool {
        let node = &self.nodes[at];
        let rest = &lookup.path[start..];
        // Most nodes of most tables have one way to go on: then where the segment ends need not be looked for.
        let only = <&[_; 1]>::try_from(&node.statics[..]).ok().filter(|_| !lookup.encoded);
        if let Some([(text, child)]) = only
            && let Some(behind) = rest.strip_prefix(&**text)
            && matches!(behind, [] | [b'/', ..])
            && self.descend(*child, start + text.len(), lookup)
        {
            return true;
        }
        let length = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
        let segment = &rest[..length];
        let end = start + length;

        if only.is_none()
            && let Some(child) = node.static_child(segment, lookup.encoded)
            && self.descend(child, end, lookup)
        {
            return true;
        }
        for (shape, child) in &node.parameters {
            let Some((from, to)) = shape.matches(segment, lookup.encoded) else { continue };
            lookup.push(start + from, start + to);
            if self.descend(*child, end, lookup) {
                return true;
            }
            lookup.params.pop();
        }
        for (endpoint, converter) in [(node.path, Converter::Path), (node.rest, Converter::Rest)] {
            let Some(endpoint) = endpoint else { continue };
            if converter.accepts(rest) && (lookup.is_wanted)(endpoint) {
                lookup.push(start, lookup.path.len());
                return true;
            }
        }
        false
    }

    /// Goes on behind the segment that ended at `end` and led to node `at`.
    fn descend<F: FnMut(u32) -> bool>(
        &self,
        at: usize,
        end: usize,
        lookup: &mut Lookup<'_, F>,
    ) -> bool {
        if end < lookup.path.len() {
            return self.find_from(at, end + 1, lookup);
        }
        self.nodes[at].endpoint.is_some_and(|endpoint| (lookup.is_wanted)(endpoint))
    }
}

impl Node {
    fn static_child(&self, segment: &[u8], encoded: bool) -> Option<usize> {
        if encoded {
            let decoded = Decoded::of(segment);
            let mut statics = self.statics.iter();
            let found = statics.find(|(text, _)| decoded.clone().eq(text.iter().copied()));
            return found.map(|(_, child)| *child);
        }
        let found = self
            .statics
            .binary_search_by(|(text, _)| by_length(text, segment.len(), || (**text).cmp(segment)));
        found.ok().map(|index| self.statics[index].1)
    }
}

impl Shape {
    /// Where the parameter's value stands in `segment`, if the segment fits.
    #[inline]
    fn matches(&self, segment: &[u8], encoded: bool) -> Option<(usize, usize)> {
        if self.prefix.is_empty() && self.suffix.is_empty() {
            return self.converter.accepts(segment).then_some((0, segment.len()));
        }
        self.matches_within(segment, encoded)
    }

    fn matches_within(&self, segment: &[u8], encoded: bool) -> Option<(usize, usize)> {
        let from = skip(segment, &self.prefix, encoded)?;
        let value_and_suffix = &segment[from..];
        let length = if self.suffix.is_empty() {
            value_and_suffix.len()
        } else if encoded {
            let mut value = Decoded::of(value_and_suffix);
            let value_bytes = value.clone().count().checked_sub(self.suffix.len())?;
            value.by_ref().take(value_bytes).for_each(drop);
            let length = value_and_suffix.len() - value.rest().len();
            value.eq(self.suffix.iter().copied()).then_some(length)?
        } else {
            value_and_suffix.strip_suffix(&*self.suffix)?.len()
        };
        self.converter.accepts(&value_and_suffix[..length]).then_some((from, from + length))
    }
}

#[inline]
fn by_length(text: &[u8], length: usize, by_text: impl FnOnce() -> Ordering) -> Ordering {
    text.len().cmp(&length).then_with(by_text)
}

/// How many raw bytes of `segment` spell `prefix`, if it begins so.
fn skip(segment: &[u8], prefix: &[u8], encoded: bool) -> Option<usize> {
    if !encoded {
        return segment.starts_with(prefix).then_some(prefix.len());
    }
    let mut decoded = Decoded::of(segment);
    let fits = prefix.iter().all(|&byte| decoded.next() == Some(byte));
    fits.then(|| segment.len() - decoded.rest().len())
}

impl<F> Lookup<'_, F> {
    fn push(&mut self, start: usize, end: usize) {
        // A target is bounded far below 4 GiB.
        let offset = self.path_offset as usize;
        self.params.push(Span::new(offset + start, offset + end));
    }
}
