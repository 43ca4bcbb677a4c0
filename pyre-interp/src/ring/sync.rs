//! Atomics and parking for the ring: the standard library's, or loom's under `--cfg pyre_loom`.
//!
//! An operation that hands something over names its `Site`. In a build that serves the name
//! vanishes; in a model it lets a test weaken that one ordering and see the model break. So it does
//! under `--cfg pyre_tsan`, where ThreadSanitizer must find the race.

#[cfg(not(pyre_loom))]
pub(super) use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize},
    },
    thread,
};

#[cfg(pyre_loom)]
pub(super) use loom::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize},
    },
    thread,
};

use std::{ops::Deref, sync::atomic::Ordering, time::Instant};

/// Every operation whose ordering another thread relies on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Site {
    /// Ring, Release: a push publishes its slot. Partner: [`Site::RingTaken`].
    RingPublished,
    /// Ring, Acquire: a pop sees what was published. Partner: [`Site::RingPublished`].
    RingTaken,
    /// Ring, Release: a pop gives its slot back. Partner: [`Site::RingReused`].
    RingVacated,
    /// Ring, Acquire: a push sees which slots came back. Partner: [`Site::RingVacated`].
    RingReused,
    /// Ring, Release: a side says that it is gone. Partner: [`Site::RingAbandoned`].
    RingLeft,
    /// Ring, Acquire: a side sees that the other is gone. Partner: [`Site::RingLeft`].
    RingAbandoned,
    /// Doorbell, fence: the reactor said that it sleeps and looks once more. Partner:
    /// [`Site::BellPushed`].
    BellAnnounced,
    /// Doorbell, fence: a lane pushed and looks whether the reactor sleeps. Partner:
    /// [`Site::BellAnnounced`].
    BellPushed,
    /// Roster, fence: a lane said that it sleeps and looks once more. Partners:
    /// [`Site::RosterPushed`], [`Site::RosterClosed`].
    RosterAnnounced,
    /// Roster, fence: a reactor pushed and looks whether a lane looks. Partners:
    /// [`Site::RosterAnnounced`], and [`Site::RosterAnswered`] if it then calls a lane; or it was
    /// offered, and a lane is chosen. A lane that retires passes it too, after it has said how to wake it. Partners of that:
    /// [`Site::RosterClosed`], [`Site::RosterRecalled`].
    RosterPushed,
    /// Roster, fence: it was closed, and now all lanes that may sleep are woken. Partners:
    /// [`Site::RosterAnnounced`], [`Site::RosterPushed`].
    RosterClosed,
    /// Roster, Acquire: a lane sees that it was called or chosen, and so what for. Partner:
    /// [`Site::RosterPushed`].
    RosterAnswered,
    /// Roster, Release: a lane changes its state. Partner: [`Site::RosterSeen`].
    RosterMoved,
    /// Roster, Acquire: a reactor sees a lane's state, so what it took before, and its thread.
    /// Partner: [`Site::RosterMoved`].
    RosterSeen,
    /// Baton, Release: whoever had the value leaves it. Partner: [`Site::BatonTaken`].
    BatonLeft,
    /// Baton, Acquire: somebody has the value now, or sees who left it. Partner: [`Site::BatonLeft`].
    BatonTaken,
    /// Roster, Acquire: a lane that retired is recalled, by one who has to know how to wake it.
    /// Partner: [`Site::RosterPushed`].
    RosterRecalled,
}

/// The ordering of an operation: `ordering`, unless a model weakens this site.
#[cfg(not(any(pyre_loom, pyre_tsan)))]
#[inline(always)]
pub(super) const fn order(_site: Site, ordering: Ordering) -> Ordering {
    ordering
}

/// The ordering of an operation: `ordering`, unless this site is weakened.
#[cfg(any(pyre_loom, pyre_tsan))]
pub(super) fn order(site: Site, ordering: Ordering) -> Ordering {
    if weakening::is(site) { Ordering::Relaxed } else { ordering }
}

/// A sequentially consistent fence: of two threads that each write, pass a fence and read what the
/// other wrote, at least one reads the new value.
#[cfg(not(pyre_loom))]
#[inline(always)]
pub(super) fn fence(_site: Site) {
    std::sync::atomic::fence(Ordering::SeqCst);
}

/// A sequentially consistent fence, unless a model takes it away.
#[cfg(pyre_loom)]
pub(super) fn fence(site: Site) {
    if !weakening::is(site) {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
}

/// Parks the thread until it is unparked, or the moment has come; no moment means never. Tells whether
/// it has not come yet.
#[cfg(not(pyre_loom))]
pub(super) fn park_until(moment: Option<Instant>) -> bool {
    let Some(moment) = moment else {
        thread::park();
        return true;
    };
    let left = moment.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::park_timeout(left);
    }
    !left.is_zero()
}

/// Parks the thread until it is unparked. A moment may come at any time, as far as loom knows: here it
/// does as soon as others have had their turn.
#[cfg(pyre_loom)]
pub(super) fn park_until(moment: Option<Instant>) -> bool {
    match moment {
        Some(_) => thread::yield_now(),
        None => thread::park(),
    }
    moment.is_none()
}

/// A value on cache lines of its own, so that its writer disturbs no neighbour. Two lines of 64
/// bytes, since x86-64 prefetches them in pairs, and because Apple's and some other ARM cores have
/// lines of 128.
#[derive(Default, Debug)]
#[repr(align(128))]
pub(super) struct Line<T>(pub(super) T);

impl<T> Deref for Line<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}

/// Which site a model weakens.
#[cfg(pyre_loom)]
pub(super) mod weakening {
    use super::Site;
    use std::{env, sync::LazyLock};

    /// Names the site to weaken in this process.
    pub(in crate::ring) const VARIABLE: &str = "PYRE_WEAKEN";

    static WEAKENED: LazyLock<Option<String>> = LazyLock::new(|| env::var(VARIABLE).ok());

    /// Whether `site` is weakened.
    pub(super) fn is(site: Site) -> bool {
        is_named(&format!("{site:?}"))
    }

    /// Whether what has this name is weakened.
    pub(in crate::ring) fn is_named(what: &str) -> bool {
        WEAKENED.as_deref() == Some(what)
    }
}

/// Which site is weakened for ThreadSanitizer, which sees orderings only: a fence is none to it.
#[cfg(pyre_tsan)]
mod weakening {
    use super::Site;

    /// Whether `site` was named when this was built.
    pub(super) fn is(site: Site) -> bool {
        option_env!("PYRE_WEAKEN").is_some_and(|name| name == format!("{site:?}"))
    }
}

/// A value set once, known to loom: a thread that is not ordered after the one that set it may see
/// it empty.
#[cfg(pyre_loom)]
pub(super) struct OnceLock<T> {
    is_set: AtomicBool,
    value: std::sync::OnceLock<T>,
}

#[cfg(pyre_loom)]
impl<T> OnceLock<T> {
    pub(super) fn new() -> Self {
        Self { is_set: AtomicBool::new(false), value: std::sync::OnceLock::new() }
    }

    pub(super) fn get(&self) -> Option<&T> {
        if self.is_set.load(Ordering::Acquire) { self.value.get() } else { None }
    }

    pub(super) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        let value = self.value.get_or_init(make);
        self.is_set.store(true, Ordering::Release);
        value
    }
}
