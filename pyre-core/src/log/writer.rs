//! The one thread that writes the log of this process, to standard error.
//!
//! Whoever logs never waits: entries go into a [`Queue`] that is bounded in bytes, and beyond the bound
//! they are dropped, counted, and the log says how many. The thread writes what has come together
//! in one call, then rests for a moment, so that a busy server wakes it some hundred times a second
//! and not for each entry.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::log::entry::{AccessBatch, Record};
use crate::log::layout::Layout;
use crate::log::of_process::OfProcess;
use crate::log::queue::{Queue, Weigh};
use crate::log::streams;
use crate::settings::Format;
use crate::sys;

/// Memory that entries may take while they wait.
pub(crate) const QUEUED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes written in one call, about.
const WRITE_BYTES: usize = 256 * 1024;

/// How long the thread rests after it has written.
const REST: Duration = Duration::from_millis(5);

/// How often one who waits for the log looks whether it is worth it.
const LOOK: Duration = Duration::from_millis(50);

/// How many may wait for the log, or have given up and still stand in the queue.
const FLUSHES_MAX: usize = 1024;

/// How long after a thread could not be had it is tried again.
const PAUSE: Duration = Duration::from_millis(100);

enum Item {
    Record(Box<Record>),
    Access(Box<AccessBatch>),
    /// Lines as they are.
    Text(String),
    /// Everything before it is written once it is answered.
    Flush(SyncSender<()>),
}

impl Weigh for Item {
    fn weight(&self) -> usize {
        match self {
            Self::Record(record) => record.weight(),
            Self::Access(batch) => batch.weight(),
            Self::Text(text) => text.len(),
            Self::Flush(_) => 0,
        }
    }
}

/// The log of a process. Holds nothing of Python.
struct Log {
    queue: Queue<Item>,
    /// Whether the thread that writes is there.
    started: AtomicBool,
    /// When it was tried last to start it.
    tried: Mutex<Option<Instant>>,
    /// Those in the queue that somebody waits for, or has waited for.
    flushes: AtomicUsize,
}

/// A child that was forked has no thread that writes, and what waits is the parent's to write.
static LOG: OfProcess<Log> = OfProcess::new();

/// Entries that were dropped.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Whether entries that say nothing of their format are JSON, and the least level of those.
static DEFAULTS: (AtomicBool, AtomicU8) = (AtomicBool::new(false), AtomicU8::new(0));

/// Sets how lines are written that come past `logging`.
pub(crate) fn set_defaults(format: Format, level: u8) {
    // Relaxed: lines that cross with the change may go either way.
    DEFAULTS.0.store(format == Format::Json, Ordering::Relaxed);
    DEFAULTS.1.store(level, Ordering::Relaxed);
}

/// The format of lines that come past `logging`, and the least level that they need.
pub(crate) fn defaults() -> (Format, u8) {
    let json = DEFAULTS.0.load(Ordering::Relaxed);
    (if json { Format::Json } else { Format::Text }, DEFAULTS.1.load(Ordering::Relaxed))
}

impl Default for Log {
    fn default() -> Self {
        Self {
            queue: Queue::new(QUEUED_BYTES_MAX),
            started: AtomicBool::new(false),
            tried: Mutex::default(),
            flushes: AtomicUsize::new(0),
        }
    }
}

impl Log {
    /// Starts the thread, which happens with the first entry; or later, if none could be had then: what is
    /// logged waits for it. Not tried more often than every so often. Returns whether it is there.
    fn start(&'static self, pause: Duration) -> bool {
        // Relaxed: the queue, which was there before, is all that the two sides share.
        if self.started.load(Ordering::Relaxed) {
            return true;
        }
        let mut tried = self.tried.lock();
        if self.started.load(Ordering::Relaxed) || tried.is_some_and(|at| at.elapsed() < pause) {
            return self.started.load(Ordering::Relaxed);
        }
        *tried = Some(Instant::now());
        let thread = thread::Builder::new().name("pyre-log".to_owned());
        let started = thread.spawn(|| run(self)).is_ok();
        self.started.store(started, Ordering::Relaxed);
        started
    }
}

/// Logs a record.
pub(crate) fn write(record: Record) {
    push(Item::Record(Box::new(record)), 1);
}

/// Says something that is no record of `logging`, with a word before it that tells from whom it is. In a
/// log of JSON it becomes a record all the same, so that each line is an object.
pub(crate) fn say(level: &str, label: &str, message: &str) {
    let message = message.trim_end_matches('\n');
    let text = match defaults().0 {
        Format::Text => format!("{label}{message}\n"),
        Format::Json => {
            let mut layout = Layout::default();
            layout.record(&Record {
                format: Format::Json,
                time_us: now_us(),
                level: level.to_owned(),
                logger: "pyre.server".to_owned(),
                message: message.to_owned(),
                thread: thread::current().name().unwrap_or_default().to_owned(),
                ..Record::default()
            });
            layout.text
        }
    };
    // That no thread can be had may be what is to be told.
    if LOG.get().start(PAUSE) || !streams::ERROR.write_at_once(text.as_bytes()) {
        push(Item::Text(text), 1);
    }
}

/// Logs answers.
pub(crate) fn write_access(batch: Box<AccessBatch>) {
    let entries = batch.entries.len();
    push(Item::Access(batch), entries);
}

fn push(item: Item, entries: usize) {
    let log = LOG.get();
    if log.queue.push(item).is_err() {
        count_dropped(entries);
    }
    log.start(PAUSE);
}

/// Counts entries that nobody will write.
pub(crate) fn count_dropped(entries: usize) {
    DROPPED.fetch_add(entries as u64, Ordering::Relaxed);
}

/// How many entries were dropped so far.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Waits until all that was logged before is written, at most so long, and no longer than somebody reads
/// standard error. Returns whether it is.
///
/// # Threads
/// Blocks the caller.
pub(crate) fn flush(patience: Duration) -> bool {
    // Nothing was ever logged: nothing is to be started for that.
    let Some(log) = LOG.get_if_used() else { return true };
    // It may be the last that this process does, so the thread is wanted now.
    if streams::ERROR.is_stalled() || !log.start(Duration::ZERO) {
        return false;
    }
    // Relaxed: a bound on memory, which orders nothing.
    let one_more = |flushes: usize| (flushes < FLUSHES_MAX).then_some(flushes + 1);
    if log.flushes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
        return false;
    }
    let (done, answer) = mpsc::sync_channel(1);
    let sent = log.queue.push(Item::Flush(done)).is_ok();
    log.queue.hurry();
    debug_assert!(sent, "it weighs nothing");
    let began = Instant::now();
    loop {
        let left = patience.saturating_sub(began.elapsed());
        match answer.recv_timeout(left.min(LOOK)) {
            Ok(()) => return true,
            Err(RecvTimeoutError::Timeout) if !left.is_zero() && !streams::ERROR.is_stalled() => {}
            Err(_) => return false,
        }
    }
}

fn run(log: &Log) {
    let queue = &log.queue;
    sys::block_broken_pipe_signal();
    let mut layout = Layout::default();
    let mut flushes = Vec::new();
    let mut format = Format::default();
    let mut dropped_told = 0;
    while let Ok(first) = queue.take(None) {
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Item::Record(record) => {
                    format = record.format;
                    layout.record(&record);
                }
                Item::Access(batch) => {
                    format = batch.style.format;
                    layout.access(&batch);
                }
                Item::Text(text) => layout.text.push_str(&text),
                Item::Flush(done) => flushes.push(done),
            }
            next = if layout.text.len() < WRITE_BYTES { queue.try_take() } else { None };
        }
        let dropped_now = dropped();
        if dropped_now != dropped_told {
            layout.record(&complaint(dropped_now - dropped_told, format));
            dropped_told = dropped_now;
        }
        // Nobody is left to tell if it cannot be written.
        streams::ERROR.write(layout.text.as_bytes());
        layout.text.clear();
        layout.text.shrink_to(WRITE_BYTES);
        // Whoever waits may have given up.
        log.flushes.fetch_sub(flushes.len(), Ordering::Relaxed);
        for done in flushes.drain(..) {
            let _ = done.send(());
        }
        // A flush ends the rest.
        queue.rest(REST);
    }
}

/// What the log says when it is not whole.
fn complaint(dropped: u64, format: Format) -> Record {
    Record {
        format,
        time_us: now_us(),
        level: "WARNING".to_owned(),
        logger: "pyre.server".to_owned(),
        message: format!("{dropped} log records were dropped: the queue of the log was full"),
        thread: "pyre-log".to_owned(),
        ..Record::default()
    }
}

/// Unix time in microseconds.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
