//! Interned attribute names, one set per interpreter.

use crate::{Attached, Borrowed, Held, Raised, Str};

/// A table of interned names, looked up by index without a count.
///
/// Kept in module state. The index is usually an enum of the module, cast to `usize`.
pub struct Names<const N: usize> {
    names: [Held<Str>; N],
}

impl<const N: usize> Names<N> {
    /// Interns the texts.
    pub fn intern(py: Attached<'_>, texts: [&str; N]) -> Result<Names<N>, Raised> {
        let mut failure = None;
        let names = texts.map(|text| {
            if failure.is_some() {
                return None;
            }
            match Str::intern(py, text) {
                Ok(name) => Some(Held::new(py, name)),
                Err(raised) => {
                    failure = Some(raised);
                    None
                }
            }
        });
        match failure {
            Some(raised) => Err(raised),
            None => Ok(Names { names: names.map(|name| name.expect("none failed")) }),
        }
    }

    /// The name at `index`.
    ///
    /// # Panics
    ///
    /// If there is no such name, or if `py` is of another interpreter.
    #[inline(always)]
    pub fn at<'a>(&'a self, index: usize, py: Attached<'a>) -> Borrowed<'a, Str> {
        self.names[index].bind(py)
    }
}
