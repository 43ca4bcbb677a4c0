//! What a driver is like that nobody but us knows of, so that no request sees anything of one before.
//! Hot path.
//!
//! Whoever might know of a driver's task since it was made would have left a trace, so that a task which
//! passes is one that could as well have been freed and made anew in the same place:
//! - a reference counts, to the task, its context or its coroutine;
//! - a weak reference is in the object's list;
//! - all else that a task keeps (its name, callbacks, attributes, who awaits it) its type shows to
//!   the garbage collector. A name that was read is another object than one that nobody has read, as
//!   asyncio keeps a number until then; the next request gets another name;
//! - requests to cancel pass through the coroutine, or stand in a count.
//!
//! What is left are flags of asyncio's own, such as `_log_destroy_pending`: they tell nothing of a
//! request, and a program that sets them on its own task has to be written for that.

use pyre_ffi::{Attached, Differing, Owned, Raised, Str};

use super::Driver;

/// How many references there are to the parts of a driver.
#[derive(Clone, Copy)]
pub(super) struct Counts {
    pub(super) task: isize,
    coroutine: isize,
    context: isize,
}

impl Counts {
    pub(super) const MOST: Counts =
        Counts { task: isize::MAX, coroutine: isize::MAX, context: isize::MAX };

    #[inline]
    pub(super) fn of(driver: &Driver<'_>) -> Counts {
        Counts {
            task: driver.task.reference_count(),
            coroutine: driver.coroutine.reference_count(),
            context: driver.context.reference_count(),
        }
    }

    #[inline]
    fn equal(self, other: Counts) -> bool {
        self.task == other.task
            && self.coroutine == other.coroutine
            && self.context == other.context
    }

    /// The lower ones: whoever else looks at a driver only adds to them.
    pub(super) fn lower(self, other: Counts) -> Counts {
        Counts {
            task: self.task.min(other.task),
            coroutine: self.coroutine.min(other.coroutine),
            context: self.context.min(other.context),
        }
    }
}

/// What drivers are like that nobody else knows of.
pub(super) struct Pristine<'py> {
    pub(super) names: Names<'py>,
    /// While no request has it, and while it is entered.
    pub(super) idle: Counts,
    pub(super) entered: Counts,
    /// What keeps the values of context variables; all contexts share it until one is set. None if
    /// contexts do not show that they have such a thing.
    pub(super) variables: Option<Owned<'py>>,
    /// The variables that have a value, with it.
    pub(super) values: Vec<(Owned<'py>, Owned<'py>)>,
}

/// Attributes that are asked for with every request.
pub(super) struct Names<'py> {
    pub(super) callbacks: Owned<'py, Str>,
    pub(super) callback: Owned<'py, Str>,
    pub(super) tells_of_end: Owned<'py, Str>,
    pub(super) set_name: Owned<'py, Str>,
    pub(super) cancelling: Owned<'py, Str>,
    pub(super) blocking: Owned<'py, Str>,
    pub(super) get_loop: Owned<'py, Str>,
}

impl<'py> Pristine<'py> {
    /// Whether a driver is as it was made but for the name of its task, so that the next request
    /// would not notice that there was one before. A driver that cannot be looked at is not.
    #[inline]
    pub(super) fn is_like(&self, driver: &Driver<'py>, counts: Counts, py: Attached<'py>) -> bool {
        Counts::of(driver).equal(counts)
            && !driver.coroutine.was_cancelled()
            && driver.task.newest_weak_reference_is(driver.weakly.as_deref(), py)
            && driver.context.newest_weak_reference_is(None, py)
            && self.has_its_values(&driver.context, py)
            && match driver.task.differing_referents(&driver.referents, py) {
                Differing::None => true,
                Differing::One(place) => {
                    driver.name.is_known.set(true);
                    place == driver.name.place
                }
                Differing::More => false,
            }
            && !driver.is_single
            && (!driver.has_flown.get() || self.is_like_after_flight(driver, py))
    }

    /// Gives a task that is like a new one a name of its own, if somebody may know its name.
    #[inline]
    pub(super) fn give_name(
        &self,
        driver: &mut Driver<'py>,
        py: Attached<'py>,
    ) -> Result<(), Raised> {
        if driver.name.is_known.get() { self.rename(driver, py) } else { Ok(()) }
    }

    #[inline(never)]
    fn rename(&self, driver: &mut Driver<'py>, py: Attached<'py>) -> Result<(), Raised> {
        let Driver { task, name, referents, .. } = driver;
        name.renamed += 1;
        let text = Str::new(py, &format!("Task-{}.{}", name.number, name.renamed))?;
        task.call_method1(&self.names.set_name, &*text, py)?;
        // The very object, as its type is that of all names.
        referents[name.place] = text.into_any();
        Ok(())
    }

    /// What a task keeps in mind of steps that it has made itself.
    fn is_like_after_flight(&self, driver: &Driver<'py>, py: Attached<'py>) -> bool {
        let looked = || -> Result<bool, Raised> {
            let requests = driver.task.call_method0(&self.names.cancelling, py)?;
            // A task that was awaited by itself is left like this.
            let blocks = driver.task.attr(&self.names.blocking, py)?;
            Ok(!requests.is_true(py)? && !blocks.is_true(py)?)
        };
        // Dropped, an exception is cleared.
        let is_like = looked().unwrap_or(false);
        driver.has_flown.set(!is_like);
        is_like
    }

    /// Whether the context variables have the very values that they had at first, whatever was set
    /// in between.
    #[inline]
    fn has_its_values(&self, context: &Owned<'py>, py: Attached<'py>) -> bool {
        match &self.variables {
            Some(variables) if context.refers_to(variables, py) => true,
            _ => self.has_each_value(context, py).unwrap_or(false),
        }
    }

    #[cold]
    fn has_each_value(&self, context: &Owned<'py>, py: Attached<'py>) -> Result<bool, Raised> {
        if context.length(py)? != self.values.len() {
            return Ok(false);
        }
        for (variable, value) in &self.values {
            // A variable that is gone raises, which says the same.
            if !context.item(variable, py)?.is(value) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
