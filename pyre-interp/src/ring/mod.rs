//! The only road between threads: steps 5 and 10 of a request.
//!
//! A reactor and a worker share nothing but what stands here. Jobs and replies travel in rings, one
//! for each direction of each reactor and worker; a reactor that sleeps in its poll is woken by its
//! [`Doorbell`], a lane that sleeps is chosen and woken by the [`Roster`] of its worker. A reactor
//! itself travels too, by its [`Baton`]: a lane may carry it and run jobs without any ring. Nothing
//! here locks, allocates once built, or waits, but for a lane that asks to in [`LaneSeat::block`], and
//! a keeper in [`Baton::doze`] and [`Baton::sleep`].
//!
//! What always holds:
//! - A ring has one producer and one consumer, by type. An item that was pushed comes out once: at
//!   the consumer, or back at the producer, who may have it again until then.
//! - Whoever goes to sleep announces it, puts a fence, and looks once more; whoever leaves something
//!   to find puts a fence and looks who sleeps. So one of the two always sees the other.
//! - Each ordering this relies on is a `Site`, and each has a model in `model/` that breaks when the
//!   ordering is weakened.

/// Atomics and parking: the standard library's, or loom's under `--cfg pyre_loom`.
mod sync;

/// A place for one item, and what an item is.
mod slot;

/// The ring itself.
mod spsc;

/// Which lanes of a worker look for work, which are blocked, which sleep; whom to wake.
mod roster;

/// The word in which a roster keeps its lanes.
mod states;

/// Waking a reactor, but only one that sleeps.
mod wake;

/// A reactor that lanes carry, and may have to leave behind.
mod baton;

/// All of it on real threads.
#[cfg(test)]
#[cfg(not(pyre_loom))]
mod stress;

/// What loom checks.
#[cfg(test)]
#[cfg(pyre_loom)]
mod model;

pub use baton::{Away, Baton, Glance, Hold};
pub use roster::{LaneSeat, Rest, Roster};
pub use slot::Item;
pub use spsc::{Consumer, Full, Producer, ring};
pub use states::LANES_MAX;
pub use wake::Doorbell;
