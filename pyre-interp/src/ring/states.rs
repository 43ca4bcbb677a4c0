//! The states of all lanes of a worker in one word, so that each step is one compare-and-swap. What
//! the states mean stands in `roster`.

use std::fmt;

/// Most lanes of one worker: two bits each in a word of 64.
pub const LANES_MAX: usize = 32;

/// The states of all lanes at one instant: in the low half a bit for each lane that is looking or
/// called, in the high half one for each that is parked or called. A blocked lane has neither.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct States(pub(super) u64);

impl States {
    /// Lanes that look, or will as soon as they arrive.
    #[inline(always)]
    pub(super) const fn awake(self) -> u32 {
        self.0 as u32
    }

    /// Lanes that are parked, or were and have been called.
    pub(super) const fn rested(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) const fn called(self) -> u32 {
        self.awake() & self.rested()
    }

    pub(super) const fn free(self) -> u32 {
        self.awake() | self.rested()
    }

    /// Lanes that are parked and have not been called.
    pub(super) const fn parked(self) -> u32 {
        self.rested() & !self.awake()
    }

    /// The lane to call, if so many others stay parked.
    pub(super) const fn first_parked(self, others: u32) -> Option<u32> {
        let parked = self.parked();
        if parked.count_ones() > others { Some(parked.trailing_zeros()) } else { None }
    }

    /// The lane to choose for what has nothing to do with the rings.
    pub(super) const fn last_parked(self) -> Option<u32> {
        match self.parked() {
            0 => None,
            parked => Some(parked.ilog2()),
        }
    }

    pub(super) const fn is_free(self, lane: u32) -> bool {
        self.free() & 1 << lane != 0
    }

    #[inline(always)]
    pub(super) const fn is_looking(self, lane: u32) -> bool {
        self.awake() & !self.rested() & 1 << lane != 0
    }

    pub(super) const fn is_parked(self, lane: u32) -> bool {
        self.parked() & 1 << lane != 0
    }

    pub(super) const fn look(self, lane: u32) -> Self {
        Self(self.0 & !(1 << 32 << lane) | 1 << lane)
    }

    pub(super) const fn park(self, lane: u32) -> Self {
        Self(self.0 & !(1 << lane) | 1 << 32 << lane)
    }

    pub(super) const fn call(self, lane: u32) -> Self {
        Self(self.0 | 1 << lane)
    }

    pub(super) const fn leave(self, lane: u32) -> Self {
        Self(self.0 & !(1 << lane) & !(1 << 32 << lane))
    }

    /// Every lane that looks counts as blocked. No lane may be called.
    pub(super) const fn block_all(self) -> Self {
        Self(self.0 & !(u32::MAX as u64))
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes")
            .field("awake", &format_args!("{:b}", self.awake()))
            .field("rested", &format_args!("{:b}", self.rested()))
            .finish()
    }
}
