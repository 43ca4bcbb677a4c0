//! Interpreters with locks of their own: started, shared by threads, ended; what crosses and what
//! must not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lanes; // its threads: they enter, take turns, leave
mod ends; // how they end, with whatever still runs in them
mod crossing; // what must not cross from one to another
mod forks; // forks

use std::{
    io::{Read, Write},
    os::fd::AsRawFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use pyre_ffi::{
    Attached, Dict, Guarded, Held, Int, InterpreterId, Object, Owned, Slot, Str, ThreadId,
    copy_context, frame_of_thread, import,
    interpreter::{
        Ended, InterpreterHandle, IsolatedConfig, Refused, can_fork, embed, run_isolated,
    },
    raise_in_thread, run_source, withdraw_from_thread,
};

const SOON: IsolatedConfig =
    IsolatedConfig { end_wait: Duration::from_secs(20), start_wait: Duration::from_secs(20) };

/// Runs `test` in an interpreter of its own, which must end well.
fn isolated<R: Send>(
    test: impl for<'py> FnOnce(Attached<'py>, &InterpreterHandle) -> R + Send,
) -> R {
    embed();
    let (result, ended) = run_isolated(SOON, test).unwrap();
    assert_eq!(ended, Ended::Clean);
    result
}

fn run<'py>(py: Attached<'py>, source: &str) -> Owned<'py, Dict> {
    let globals = Dict::new(py).unwrap();
    if let Err(raised) = run_source(py, source, &globals) {
        let exception = raised.take(py);
        panic!("{}", exception.repr(py).unwrap().as_utf8(py).unwrap());
    }
    globals
}

fn global<'py>(globals: &Object<Dict>, name: &str, py: Attached<'py>) -> Owned<'py> {
    globals.get(&*Str::new(py, name).unwrap(), py).unwrap().unwrap()
}

fn global_i64(globals: &Object<Dict>, name: &str, py: Attached<'_>) -> i64 {
    global(globals, name, py).cast::<Int>().unwrap().as_i64().unwrap()
}

#[test]
fn several_run_at_the_same_time() {
    const COUNT: usize = 4;
    embed();
    let all_inside = Arc::new(Barrier::new(COUNT));
    let threads: Vec<_> = (0..COUNT)
        .map(|_| {
            let all_inside = Arc::clone(&all_inside);
            thread::spawn(move || {
                isolated(|py, _| {
                    // Without a lock of its own for each, nobody would get past this line.
                    all_inside.wait();
                    let globals = run(py, "total = sum(n * n for n in range(20000))");
                    (py.interpreter(), global_i64(&globals, "total", py))
                })
            })
        })
        .collect();
    let mut ids = Vec::new();
    for thread in threads {
        let (id, total) = thread.join().unwrap();
        assert_eq!(total, 2_666_466_670_000);
        assert_ne!(id, InterpreterId::MAIN);
        ids.push(id.number());
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), COUNT);
}

#[test]
fn an_attached_thread_may_start_another_interpreter() {
    embed()
        .enter(|py| {
            let here = Str::new(py, "outer").unwrap();
            let inner = isolated(|py, handle| {
                assert_ne!(py.interpreter(), InterpreterId::MAIN);
                // And go back into the first from there.
                assert_eq!(embed().enter(|py| py.interpreter()), Ok(InterpreterId::MAIN));
                handle.id()
            });
            assert_ne!(inner, py.interpreter());
            assert!(here.equals_str("outer"));
        })
        .unwrap();
}

#[test]
fn many_start_and_end_side_by_side() {
    embed();
    // See `design.md`: a first import of `_datetime` at the same time crashes 3.13.0.
    embed().enter(|py| import(py, "datetime").map(drop).is_ok()).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(|| {
                for _ in 0..3 {
                    isolated(|py, _| run(py, "import datetime, json, threading").len());
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
