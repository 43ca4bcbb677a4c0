//! What Python passes to a method: by position, then by name.

use std::slice;

use pyo3_ffi as ffi;

use crate::{
    Attached, Borrowed, Dict, Object, Owned, Raised, Str, Tuple, class::trampoline::lend_if_any,
};

/// The arguments of one call, lent for its duration.
#[derive(Clone, Copy)]
pub struct Arguments<'a> {
    positional: &'a [Borrowed<'a>],
    named: &'a [Borrowed<'a>],
    names: Option<Borrowed<'a, Tuple>>,
}

/// The parameters of a function, for [`Arguments::parse`].
pub struct Signature<const N: usize> {
    /// How messages call the function.
    pub function: &'static str,
    /// The parameters' names, in order.
    pub names: [&'static str; N],
    /// How many of them must be given.
    pub required: usize,
    /// How many of them may be given by position.
    pub positional_max: usize,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(
        positional: &'a [Borrowed<'a>],
        named: &'a [Borrowed<'a>],
        names: Option<Borrowed<'a, Tuple>>,
    ) -> Arguments<'a> {
        Arguments { positional, named, names }
    }

    /// # Safety
    ///
    /// The arguments must be those of a vectorcall (without the offset bit in `count`), and lent
    /// for `'a`.
    #[inline(always)]
    pub(crate) unsafe fn from_vectorcall(
        values: *const *mut ffi::PyObject,
        count: usize,
        names: *mut ffi::PyObject,
    ) -> Arguments<'a> {
        // SAFETY: a tuple of strings, or NULL.
        let names: Option<Borrowed<'a, Tuple>> = unsafe { lend_if_any(names) };
        let named_count = names.map_or(0, |names| names.len());
        if values.is_null() {
            return Arguments { positional: &[], named: &[], names };
        }
        let values = values.cast::<Borrowed<'a>>();
        // SAFETY: `count` objects, followed by one for each name; `Borrowed` is a transparent
        // pointer.
        let all = unsafe { slice::from_raw_parts(values, count + named_count) };
        let (positional, named) = all.split_at(count);
        Arguments { positional, named, names }
    }

    /// What was passed by position.
    #[inline(always)]
    pub fn positional(&self) -> &'a [Borrowed<'a>] {
        self.positional
    }

    /// What was passed by name, in the order of the call.
    pub fn named(&self) -> impl Iterator<Item = (Borrowed<'a>, Borrowed<'a>)> {
        let names = self.names.map_or(&[][..], Borrowed::into_items);
        names.iter().copied().zip(self.named.iter().copied())
    }

    /// Whether nothing was passed.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.positional.is_empty() && self.named.is_empty()
    }

    /// All of them, for a call that is made later: those by position, and those by name.
    ///
    /// # Errors
    ///
    /// If there is no memory for it.
    pub fn kept<'py>(
        &self,
        py: Attached<'py>,
    ) -> Result<(Owned<'py, Tuple>, Owned<'py, Dict>), Raised> {
        let mut values: Vec<Owned<'_>> =
            self.positional.iter().map(|value| Borrowed::to_owned(*value, py)).collect();
        let keywords = Dict::new(py)?;
        for (name, value) in self.named() {
            keywords.set(&*name, &*value, py)?;
        }
        Ok((Tuple::from_tail(py, &mut values, 0)?, keywords))
    }

    /// Calls `function` with them, behind some others.
    ///
    /// # Errors
    ///
    /// What the function raises.
    pub fn pass_on<'py>(
        &self,
        function: &Object,
        before: &[Borrowed<'_>],
        py: Attached<'py>,
    ) -> Result<Owned<'py>, Raised> {
        let all: Vec<Borrowed<'_>> =
            before.iter().chain(self.positional).chain(self.named).copied().collect();
        match self.names {
            Some(names) => function.call_with_names(&all, &names, py),
            None => function.call(&all, py),
        }
    }

    /// Without the first of those by position, as many as there are.
    #[must_use]
    pub fn behind(&self, count: usize) -> Arguments<'a> {
        Arguments { positional: self.positional.get(count..).unwrap_or_default(), ..*self }
    }

    /// Sorts the arguments by parameter; those not given stay empty.
    ///
    /// # Errors
    ///
    /// `TypeError` for missing, superfluous, unknown and doubled arguments.
    #[inline]
    pub fn parse<const N: usize>(
        &self,
        signature: &Signature<N>,
        py: Attached<'_>,
    ) -> Result<[Option<Borrowed<'a>>; N], Raised> {
        let mut values = [None; N];
        let most = signature.positional_max.min(N);
        if self.positional.len() > most {
            return Err(signature.too_many(self.positional.len(), py));
        }
        for (place, value) in values.iter_mut().zip(self.positional) {
            *place = Some(*value);
        }
        for (name, value) in self.named() {
            let Some(name) = name.cast::<Str>() else {
                return Err(Raised::type_error(py, "names of arguments must be strings"));
            };
            match signature.names.iter().position(|known| name.equals_str(known)) {
                None => {
                    let name = name.as_utf8(py)?;
                    let text = format!("got an unexpected keyword argument '{name}'");
                    return Err(signature.error(&text, py));
                }
                Some(index) if values[index].is_some() => {
                    let text =
                        format!("got multiple values for argument '{}'", signature.names[index]);
                    return Err(signature.error(&text, py));
                }
                Some(index) => values[index] = Some(value),
            }
        }
        match values[..signature.required.min(N)].iter().position(Option::is_none) {
            None => Ok(values),
            Some(index) => {
                let text = format!("missing required argument: '{}'", signature.names[index]);
                Err(signature.error(&text, py))
            }
        }
    }
}

impl<const N: usize> Signature<N> {
    /// One whose parameters must all be given, by position or by name.
    pub const fn all(function: &'static str, names: [&'static str; N]) -> Self {
        Self { function, names, required: N, positional_max: N }
    }

    #[cold]
    fn error(&self, text: &str, py: Attached<'_>) -> Raised {
        Raised::type_error(py, &format!("{}() {text}", self.function))
    }

    #[cold]
    fn too_many(&self, given: usize, py: Attached<'_>) -> Raised {
        let most = self.positional_max.min(N);
        let text = match most {
            0 => format!("takes no positional arguments ({given} given)"),
            1 => format!("takes at most 1 positional argument ({given} given)"),
            _ => format!("takes at most {most} positional arguments ({given} given)"),
        };
        self.error(&text, py)
    }
}
