//! How deep the encoder is, and in what: cycles and the bound on nesting.
//! Hot path.
//!
//! A list that runs through the frames of the walk itself, so that it costs no memory of its own.

use pyre_ffi::{Any, Object};

use super::DEPTH_MAX;
use super::failure::{Failure, Problem};

/// A container that is being encoded, and those around it: the whole state of the cycle check.
pub(super) struct Level<'a> {
    container: &'a Object<Any>,
    depth: usize,
    around: Option<&'a Level<'a>>,
}

impl<'a> Level<'a> {
    /// Goes one level deeper, into `container`.
    #[inline(always)]
    pub(super) fn enter(
        container: &'a Object<Any>,
        around: Option<&'a Level<'a>>,
    ) -> Result<Level<'a>, Failure> {
        let mut depth = 1;
        if let Some(level) = around {
            depth += level.depth;
            if depth > DEPTH_MAX || level.is_within(container) {
                return Err(level.refuse(container).into());
            }
        }
        Ok(Level { container, depth, around })
    }

    /// Whether this level or one around it is that of `container`.
    #[inline(always)]
    fn is_within(&self, container: &Object<Any>) -> bool {
        let mut level = Some(self);
        while let Some(here) = level {
            if here.container.is(container) {
                return true;
            }
            level = here.around;
        }
        false
    }

    #[cold]
    fn refuse(&self, container: &Object<Any>) -> Problem {
        if self.is_within(container) { Problem::Cycle } else { Problem::Depth }
    }
}
