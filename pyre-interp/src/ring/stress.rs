//! The ring's parts on real threads, as the server uses them, for a second or so.

mod workers; // rings, bells and rosters: no wake-up is lost
mod loans; // batons: a reactor that is lent and taken back loses no job
mod shares; // rings whose both ends take items out

use super::{Consumer, Producer};
use std::time::Duration;

/// What a test may take, on a busy machine, before it counts as stuck.
const DEADLINE: Duration = Duration::from_secs(60);
const LANES: usize = 3;
/// How many jobs a reactor has out.
const BURST: usize = 7;

/// The lanes' ends. The lock is their GIL.
struct Ends {
    jobs: Vec<Consumer<Box<usize>>>,
    replies: Vec<Producer<Box<usize>>>,
}

/// Steps that look random, the same in each run.
struct Dice(u64);

impl Dice {
    /// Whether a throw of a die with `sides` sides shows the first.
    fn one_in(&mut self, sides: u64) -> bool {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).is_multiple_of(sides)
    }
}
