//! Routes that cannot run on workers, as a worker has found: they use modules that do not load there.
//!
//! Found in Python, by `pyreframework.program.moves`, in every worker; the first one decides.

use std::collections::BTreeMap;

use pyre_ffi::{Attached, Int, List, Object, Owned, Raised, Str, Tuple};

/// The number that stands for the fallback, as in `pyreframework.app`. Below it there are notes for
/// the banner, which move nothing.
pub(crate) const FALLBACK: i64 = -1;

/// The routes that move to the main interpreter, by number, and why.
#[derive(Default, Debug, PartialEq, Eq)]
pub(crate) struct Moves(BTreeMap<i64, String>);

impl Moves {
    /// Reads what `pyreframework.program.loading.start_worker` returns.
    ///
    /// # Errors
    /// `TypeError` if it is anything but a list of pairs: a fault of the package.
    pub(crate) fn read(py: Attached<'_>, value: &Object) -> Result<Self, Raised> {
        let wrong = || Raised::type_error(py, "start_worker() must return a list of (int, str)");
        let list = value.cast::<List>().ok_or_else(wrong)?;
        let mut moves = BTreeMap::new();
        let mut index = 0;
        while let Some(pair) = list.get(index, py) {
            let pair = pair.cast::<Tuple>().ok_or_else(wrong)?;
            let [number, reason] = pair.items() else { return Err(wrong()) };
            let number = number.cast::<Int>().and_then(|number| number.as_i64());
            let reason = reason.cast::<Str>().ok_or_else(wrong)?.view().to_string_lossy();
            moves.insert(number.ok_or_else(wrong)?, reason);
            index += 1;
        }
        Ok(Self(moves))
    }

    /// As Python gets them: a list of pairs.
    pub(crate) fn show<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let mut rows = Vec::with_capacity(self.0.len());
        for (&number, reason) in &self.0 {
            let row = [Int::new(py, number)?.into_any(), Str::new(py, reason)?.into_any()];
            rows.push(Tuple::new(py, row)?.into_any());
        }
        List::from_vec(py, rows).map(Owned::into_any)
    }

    /// Whether a route moves.
    pub(crate) fn contains(&self, number: i64) -> bool {
        self.0.contains_key(&number)
    }

    /// Whether nothing moves.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.range(FALLBACK..).next().is_none()
    }

    /// What another worker would have to move beyond this, in words.
    pub(crate) fn lacks(&self, other: &Self) -> Option<String> {
        let mut moves = other.0.range(FALLBACK..);
        let (number, reason) = moves.find(|(number, _)| !self.0.contains_key(number))?;
        let route = match *number {
            FALLBACK => "the fallback".to_owned(),
            number => format!("route {number}"),
        };
        Some(format!(
            "{route} does not load in this worker, but did in the first one: {reason}; a program \
             must import the same modules wherever it is loaded, or register the route with \
             gil=True"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(numbers: &[i64]) -> Moves {
        Moves(numbers.iter().map(|&number| (number, format!("it uses m{number}"))).collect())
    }

    #[test]
    fn a_route_that_moves_runs_on_main() {
        let moves = moves(&[1, FALLBACK]);
        assert!(!moves.contains(0));
        assert!(moves.contains(1) && moves.contains(FALLBACK));
    }

    #[test]
    fn notes_move_nothing() {
        assert!(moves(&[]).is_empty() && moves(&[-2, -3]).is_empty());
        assert!(!moves(&[FALLBACK]).is_empty() && !moves(&[-2, 0]).is_empty());
        assert_eq!(moves(&[]).lacks(&moves(&[-2])), None);
    }

    #[test]
    fn a_later_worker_may_need_less_but_not_more() {
        let first = moves(&[1, 2]);
        assert_eq!(first.lacks(&moves(&[1, 2])), None);
        assert_eq!(first.lacks(&moves(&[])), None);
        let text = first.lacks(&moves(&[1, 3])).unwrap();
        assert!(text.starts_with("route 3 does not load") && text.contains("it uses m3"), "{text}");
        assert!(first.lacks(&moves(&[FALLBACK])).unwrap().starts_with("the fallback"));
    }
}
