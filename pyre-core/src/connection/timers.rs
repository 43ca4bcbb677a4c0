//! Deadlines of connections: a hashed wheel, one entry a connection.
//! Hot path.
//!
//! The wheel has a bucket for each tick of the next `BUCKETS` ones; a deadline further away waits in
//! the last of them and is put back when its turn comes. A deadline that moves away from now, as it
//! does with every request of a busy connection, is only written down: the entry stays in its
//! bucket and is looked at again when that bucket is due. So arming and disarming cost a few
//! instructions, nothing is allocated once a key has been seen, and `next_deadline_ms` may be early
//! but never late. A deadline fires at most one tick late and never early; one that is past when it is
//! armed fires with the next tick.
//!
//! There is no clock in here: milliseconds come in from the tick of the reactor.

/// Buckets of the wheel; a power of two. 512 of 100 ms span 51 s.
const BUCKETS: usize = 512;

const NONE: u32 = u32::MAX;
const NEVER: u64 = u64::MAX;

/// Where an entry is that hangs in no bucket.
const UNLINKED: u32 = u32::MAX;

/// The deadlines of one reactor.
#[derive(Debug)]
pub(crate) struct Timers {
    granularity_ms: u64,
    /// All ticks up to this one have expired.
    tick: u64,
    /// First entry of each bucket.
    heads: Box<[u32; BUCKETS]>,
    /// A bit for each bucket that has entries.
    occupied: [u64; BUCKETS / 64],
    /// When the first of them is due: asked twice a turn, looked for only when it has expired.
    next_ms: u64,
    /// By key.
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    deadline_ms: u64,
    /// When the bucket it hangs in is looked at.
    due_ms: u64,
    generation: u32,
    bucket: u32,
    previous: u32,
    next: u32,
}

impl Timers {
    /// A wheel without deadlines, which rounds them up to `granularity_ms`.
    ///
    /// # Panics
    /// If `granularity_ms` is 0.
    pub(crate) fn new(granularity_ms: u64) -> Self {
        assert!(granularity_ms > 0, "a tick takes time");
        Timers {
            granularity_ms,
            tick: 0,
            heads: Box::new([NONE; BUCKETS]),
            occupied: [0; BUCKETS / 64],
            next_ms: NEVER,
            entries: Vec::new(),
        }
    }

    /// Sets the one deadline of `key`, in place of an earlier one. `generation` comes back with it.
    ///
    /// Keys are small: there is room for all up to the largest one seen.
    #[inline]
    pub(crate) fn arm(&mut self, key: u32, generation: u32, deadline_ms: u64) {
        let index = key as usize;
        if index >= self.entries.len() {
            self.grow(index);
        }
        let entry = &mut self.entries[index];
        entry.generation = generation;
        entry.deadline_ms = deadline_ms;
        if entry.bucket == UNLINKED || deadline_ms < entry.due_ms {
            self.relink(key);
        }
    }

    /// Forgets the deadline of `key`, if there is one.
    #[inline]
    pub(crate) fn disarm(&mut self, key: u32) {
        if let Some(entry) = self.entries.get_mut(key as usize) {
            entry.deadline_ms = NEVER;
        }
    }

    /// Calls `expired` with key and generation of every deadline that lies before `now_ms` or at it,
    /// and disarms it.
    pub(crate) fn expire(&mut self, now_ms: u64, mut expired: impl FnMut(u32, u32)) {
        let now_tick = now_ms / self.granularity_ms;
        // After a pause longer than the wheel, one round reaches every bucket.
        let first = (self.tick + 1).max(now_tick.saturating_sub(BUCKETS as u64 - 1));
        self.tick = self.tick.max(now_tick);
        for tick in first..=now_tick {
            let bucket = bucket_of(tick);
            let mut key = std::mem::replace(&mut self.heads[bucket], NONE);
            self.occupied[bucket / 64] &= !(1 << (bucket % 64));
            while key != NONE {
                let entry = &mut self.entries[key as usize];
                let next = entry.next;
                entry.bucket = UNLINKED;
                if entry.deadline_ms <= now_ms {
                    entry.deadline_ms = NEVER;
                    expired(key, entry.generation);
                } else if entry.deadline_ms != NEVER {
                    self.link(key);
                }
                key = next;
            }
        }
        self.next_ms = self.first_due_ms().unwrap_or(NEVER);
    }

    /// When to call `expire` next, or None if nothing is armed. Not later than the first deadline
    /// rounded up to a tick.
    #[inline]
    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        (self.next_ms != NEVER).then_some(self.next_ms)
    }

    /// When the first bucket is due that has entries.
    fn first_due_ms(&self) -> Option<u64> {
        let start = bucket_of(self.tick + 1);
        // The word of `start` is looked at twice: first from `start` on, at last up to it.
        for step in 0..=self.occupied.len() {
            let index = (start / 64 + step) % self.occupied.len();
            let mut word = self.occupied[index];
            if step == 0 {
                word &= u64::MAX << (start % 64);
            }
            if word != 0 {
                let bucket = index * 64 + word.trailing_zeros() as usize;
                let ticks = (bucket + BUCKETS - start) % BUCKETS;
                return Some((self.tick + 1 + ticks as u64) * self.granularity_ms);
            }
        }
        None
    }

    /// Makes room for a key seen for the first time.
    #[cold]
    fn grow(&mut self, index: usize) {
        let unarmed = Entry {
            deadline_ms: NEVER,
            due_ms: NEVER,
            generation: 0,
            bucket: UNLINKED,
            previous: NONE,
            next: NONE,
        };
        self.entries.resize(index + 1, unarmed);
    }

    /// Moves an entry to the bucket of its deadline.
    fn relink(&mut self, key: u32) {
        self.unlink(key);
        self.link(key);
    }

    /// Takes an entry out of its bucket, if it hangs in one.
    fn unlink(&mut self, key: u32) {
        let Entry { bucket, previous, next, .. } = self.entries[key as usize];
        if bucket == UNLINKED {
            return;
        }
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        if previous != NONE {
            self.entries[previous as usize].next = next;
        } else {
            self.set_head(bucket as usize, next);
        }
    }

    /// Hangs an entry that is in no bucket into that of its deadline.
    fn link(&mut self, key: u32) {
        let deadline_tick = self.entries[key as usize].deadline_ms.div_ceil(self.granularity_ms);
        let last_tick = self.tick + BUCKETS as u64;
        let due_tick = deadline_tick.clamp(self.tick + 1, last_tick);
        let bucket = bucket_of(due_tick);
        let next = self.heads[bucket];
        if next != NONE {
            self.entries[next as usize].previous = key;
        }
        let entry = &mut self.entries[key as usize];
        entry.due_ms = due_tick * self.granularity_ms;
        // An entry that leaves a bucket goes to an earlier one, so this is never too late.
        self.next_ms = self.next_ms.min(entry.due_ms);
        entry.bucket = u32::try_from(bucket).expect("less than BUCKETS");
        entry.previous = NONE;
        entry.next = next;
        self.set_head(bucket, key);
    }

    fn set_head(&mut self, bucket: usize, key: u32) {
        self.heads[bucket] = key;
        let bit = 1 << (bucket % 64);
        if key == NONE {
            self.occupied[bucket / 64] &= !bit;
        } else {
            self.occupied[bucket / 64] |= bit;
        }
    }
}

fn bucket_of(tick: u64) -> usize {
    (tick % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests;
