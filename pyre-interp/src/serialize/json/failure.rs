//! Why something cannot be encoded, and where.
//!
//! Small while it travels up through the containers, each of which adds its step to the path; the
//! message is written when it arrives.

use pyre_ffi::{Attached, ExceptionKind, Raised, Str};

use super::DEPTH_MAX;
use super::path::{Path, Step};
use super::types::{Attribute, EncodeCache};

/// Why encoding stopped. Boxed, so that results fit a register.
pub(super) struct Failure(Box<(Problem, Path)>);

pub(super) enum Problem {
    /// Python raised, mostly in a hook.
    Raised(Raised),
    /// No rule covers the type of this name.
    Type(String),
    /// A key is of the type of this name.
    KeyType(String),
    /// A container contains itself.
    Cycle,
    /// Containers nest too deep.
    Depth,
    /// A float that JSON cannot express.
    NotFinite(f64),
}

impl From<Problem> for Failure {
    #[cold]
    fn from(problem: Problem) -> Failure {
        Failure(Box::new((problem, Path::default())))
    }
}

impl From<Raised> for Failure {
    #[cold]
    fn from(raised: Raised) -> Failure {
        Problem::Raised(raised).into()
    }
}

impl Failure {
    /// The failure as seen from an array around it.
    #[cold]
    pub(super) fn under_index(mut self, index: usize) -> Failure {
        self.0.1.lead_in(Step::Index(index));
        self
    }

    /// The failure as seen from an object around it; `name` is its JSON, with quotes.
    #[cold]
    pub(super) fn under_name(mut self, name: &[u8]) -> Failure {
        self.0.1.lead_in(Step::Name(String::from_utf8_lossy(name).into_owned()));
        self
    }

    /// Raises the failure, with its place.
    #[cold]
    pub(super) fn raise(self, py: Attached<'_>, cache: &EncodeCache) -> Raised {
        let (problem, path) = *self.0;
        let (kind, message) = match problem {
            Problem::Raised(raised) => return with_note(raised, &path, py, cache),
            Problem::Type(name) => (
                ExceptionKind::TypeError,
                format!("Object of type {name} is not JSON serializable at {path}"),
            ),
            Problem::KeyType(name) => (
                ExceptionKind::TypeError,
                format!("keys must be str, int, float, bool or None, not {name} at {path}"),
            ),
            Problem::Cycle => {
                (ExceptionKind::ValueError, format!("Circular reference detected at {path}"))
            }
            Problem::Depth => (
                ExceptionKind::ValueError,
                format!("The depth of nesting exceeds {DEPTH_MAX} at {path}"),
            ),
            Problem::NotFinite(number) => {
                // In Python's spelling, which for infinities is Rust's too.
                let number = number.to_string().to_lowercase();
                let message = format!("Out of range float value {number} is not JSON compliant");
                (ExceptionKind::ValueError, format!("{message} at {path}"))
            }
        };
        Raised::new(py, kind, &message)
    }
}

/// Notes the place on an exception that is not ours.
fn with_note(raised: Raised, path: &Path, py: Attached<'_>, cache: &EncodeCache) -> Raised {
    let exception = raised.take(py);
    let noted = Str::new(py, &format!("while encoding JSON at {path}")).and_then(|note| {
        exception.call_method1(&cache.names.at(Attribute::AddNote as usize, py), &note, py)
    });
    if let Err(failure) = noted {
        // The first exception says more.
        failure.clear(py);
    }
    Raised::restore(py, exception)
}
