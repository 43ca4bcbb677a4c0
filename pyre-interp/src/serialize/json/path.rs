//! `$.users[0].score`: where in a value something went wrong. Built only when it did.

use std::fmt;

/// Steps shown from the whole value down, and up to the failure; those between are left out.
const FIRST_STEPS_MAX: usize = 16;
const LAST_STEPS_MAX: usize = 8;

/// The steps from the failure up to the whole value.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Path {
    upwards: Vec<Step>,
}

/// One step down from a container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// To an item by its place.
    Index(usize),
    /// To the value of a name, which is given as JSON, with its quotes.
    Name(String),
}

impl Path {
    /// Adds the step that led into the container that the path begins in now.
    pub(super) fn lead_in(&mut self, step: Step) {
        self.upwards.push(step);
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        let last_steps = self.upwards.len().saturating_sub(LAST_STEPS_MAX);
        for (depth, step) in self.upwards.iter().rev().enumerate() {
            match step {
                _ if depth == FIRST_STEPS_MAX && depth < last_steps => f.write_str("...")?,
                _ if (FIRST_STEPS_MAX..last_steps).contains(&depth) => {}
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Name(name) => match name.trim_matches('"') {
                    plain if is_identifier(plain) => write!(f, ".{plain}")?,
                    _ => write!(f, "[{name}]")?,
                },
            }
        }
        Ok(())
    }
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && name.chars().all(|each| each.is_alphanumeric() || each == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_the_middle_of_a_long_way() {
        for (steps, shown) in [(24, 24), (25, 24), (256, 24)] {
            let mut path = Path::default();
            (0..steps).rev().for_each(|index| path.lead_in(Step::Index(index)));
            let path = path.to_string();
            assert_eq!(path.matches('[').count(), shown, "{path}");
            assert_eq!(path.contains("[15]...["), steps > shown, "{path}");
            assert!(path.starts_with("$[0]") && path.ends_with(&format!("[{}]", steps - 1)));
        }
    }

    #[test]
    fn reads_from_the_whole_value_down() {
        let mut path = Path::default();
        assert_eq!(path.to_string(), "$");
        for step in [
            Step::Name(r#""score""#.to_owned()),
            Step::Index(0),
            Step::Name(r#""first \"name\"""#.to_owned()),
            Step::Name(r#""""#.to_owned()),
            Step::Name(r#""größe_2""#.to_owned()),
        ] {
            path.lead_in(step);
        }
        assert_eq!(path.to_string(), r#"$.größe_2[""]["first \"name\""][0].score"#);
    }
}
