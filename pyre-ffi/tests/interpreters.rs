//! Interpreters with locks of their own: started, shared by threads, ended; what crosses and what
//! must not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

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
        Closed, Ended, InterpreterHandle, IsolatedConfig, can_fork, embed, run_isolated,
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
fn they_share_no_objects_and_no_modules() {
    isolated(|py, _| run(py, "import sys; sys.pyre_mark = 1").len());
    isolated(|py, _| {
        let globals = run(py, "import sys; seen = int(hasattr(sys, 'pyre_mark'))");
        assert_eq!(global_i64(&globals, "seen", py), 0);
    });
}

#[test]
fn fork_and_daemon_threads_are_refused() {
    isolated(|py, _| {
        run(
            py,
            r#"
import os, threading
try: os.fork()
except RuntimeError: pass
else: os._exit(1)
try: threading.Thread(target=print, daemon=True).start()
except RuntimeError: pass
else: raise AssertionError("a daemon thread was started")
"#,
        );
    });
}

#[test]
fn lanes_enter_take_turns_and_leave() {
    isolated(|py, handle| {
        let sum = Arc::new(Guarded::new(py, 0_u64));
        let lanes: Vec<_> = (0..6)
            .map(|lane| {
                let (handle, sum) = (handle.clone(), Arc::clone(&sum));
                thread::spawn(move || {
                    let entered = handle.enter(|py| {
                        assert_eq!(py.interpreter(), handle.id());
                        for _ in 0..200 {
                            sum.with(py, |sum| *sum += 1);
                            let globals = run(py, "x = [n for n in range(20)]");
                            assert_eq!(global(&globals, "x", py).length(py).unwrap(), 20);
                            py.detach(thread::yield_now);
                        }
                        lane
                    });
                    assert_eq!(entered, Ok(lane));
                })
            })
            .collect();
        py.detach(|| lanes.into_iter().for_each(|lane| lane.join().unwrap()));
        assert_eq!(sum.with(py, |sum| *sum), 1200);
    });
}

#[test]
fn one_lane_blocks_and_the_others_go_on() {
    isolated(|py, handle| {
        let (sender, receiver) = mpsc::channel();
        let other = handle.clone();
        let sleeper = handle.clone();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let sleeper = thread::spawn(move || {
            sleeper.enter(|py| {
                sender.send(()).unwrap();
                let sleep = import(py, "time").unwrap();
                let name = Str::intern(py, "sleep").unwrap();
                let moment = pyre_ffi::Float::new(py, 0.002).unwrap();
                while !stopped.load(Ordering::Relaxed) {
                    sleep.call_method1(&name, &moment, py).unwrap();
                }
            })
        });
        py.detach(move || receiver.recv().unwrap());
        let worked = py.detach(|| {
            thread::spawn(move || other.enter(|py| run(py, "x = 1").len()).is_ok()).join().unwrap()
        });
        assert!(worked);
        stop.store(true, Ordering::Relaxed);
        py.detach(|| sleeper.join().unwrap()).unwrap();
    });
}

#[test]
fn the_end_waits_for_lanes_and_shuts_the_door() {
    embed();
    let left = Arc::new(AtomicUsize::new(0));
    let (handle, ended) = run_isolated(SOON, |py, handle| {
        let all_inside = Arc::new(Barrier::new(4));
        for _ in 0..3 {
            let (handle, left) = (handle.clone(), Arc::clone(&left));
            let all_inside = Arc::clone(&all_inside);
            thread::spawn(move || {
                handle.enter(|py| {
                    py.detach(|| {
                        all_inside.wait();
                        thread::park_timeout(Duration::from_millis(50));
                    });
                    left.fetch_add(1, Ordering::Relaxed);
                })
            });
        }
        py.detach(|| all_inside.wait().is_leader());
        handle.clone()
    })
    .unwrap();
    assert_eq!((left.load(Ordering::Relaxed), ended), (3, Ended::Clean));
    assert_eq!(handle.enter(|_| ()), Err(Closed));
}

#[test]
fn an_interpreter_that_is_busy_is_left_behind() {
    embed();
    let config = IsolatedConfig { end_wait: Duration::from_millis(50), ..SOON };
    let (go, wait) = mpsc::channel::<()>();
    let (inside, entered) = mpsc::channel();
    let (lane, ended) = run_isolated(config, |py, handle| {
        let handle = handle.clone();
        let lane = thread::spawn(move || {
            handle.enter(|py| {
                inside.send(()).unwrap();
                py.detach(move || wait.recv().is_ok());
                run(py, "x = 1").len()
            })
        });
        py.detach(move || entered.recv().unwrap());
        lane
    })
    .unwrap();
    assert_eq!(ended, Ended::StillBusy);
    // It still lives, and the thread inside comes to no harm.
    go.send(()).unwrap();
    assert!(lane.join().unwrap().unwrap() >= 1);
}

#[test]
fn threads_of_python_code_are_joined() {
    isolated(|py, _| {
        run(
            py,
            r#"
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
sys.pool = ThreadPoolExecutor(2)
sys.pool.submit(time.sleep, 0.01)
sys.pool.submit(pow, 2, 3).result()
threading.Thread(target=time.sleep, args=(0.03,)).start()
import _thread
_thread.start_new_thread(time.sleep, (0.05,))
"#,
        );
    });
}

#[test]
fn threads_that_exit_functions_start_are_waited_for() {
    isolated(|py, _| {
        run(
            py,
            r#"
import _thread, atexit, time
atexit.register(_thread.start_new_thread, time.sleep, (0.05,))
"#,
        );
    });
}

#[test]
fn a_panic_comes_out_after_the_interpreter_has_ended() {
    embed();
    let kept = Arc::new(AtomicBool::new(false));
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let _ = run_isolated(SOON, |py, handle| {
            let handle = handle.clone();
            kept.store(handle.id() == py.interpreter(), Ordering::Relaxed);
            panic!("in the interpreter");
        });
    }));
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"in the interpreter"));
    assert!(kept.load(Ordering::Relaxed));
    isolated(|py, _| run(py, "x = 1").len());
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
fn what_is_held_is_refused_elsewhere_and_leaks() {
    isolated(|py, _| {
        let object = run(py, "x = object()");
        let object = global(&object, "x", py);
        let before = object.reference_count();
        let (held, slot) = (Held::new(py, object.clone()), Slot::new(py, object.clone()));
        assert_eq!(object.reference_count(), before + 2);
        let (held, slot) = py.detach(|| {
            embed()
                .enter(|py| {
                    assert!(catch_unwind(AssertUnwindSafe(|| held.bind(py).is_none())).is_err());
                    assert!(catch_unwind(AssertUnwindSafe(|| slot.get(py).is_some())).is_err());
                    assert!(catch_unwind(AssertUnwindSafe(|| slot.take(py).is_some())).is_err());
                    let other = pyre_ffi::none(py);
                    assert!(catch_unwind(AssertUnwindSafe(|| slot.set(py, other))).is_err());
                    (held, slot)
                })
                .unwrap()
        });
        assert!(held.bind(py).is(&object) && slot.get(py).unwrap().is(&object));
        // Dropped where they may not be touched: on a thread that is attached to nothing, and in
        // another interpreter.
        py.detach(|| {
            drop(held);
            embed().enter(|_| drop(slot)).unwrap();
        });
        assert_eq!(object.reference_count(), before + 2);
        // Dropped at home they are given back.
        drop((Held::new(py, object.clone()), Slot::new(py, object.clone())));
        assert_eq!(object.reference_count(), before + 2);
        assert!(Held::new(py, object.clone()).release(py).is(&object));
        assert_eq!(object.reference_count(), before + 2);
    });
}

#[test]
fn a_guarded_value_is_used_at_home_and_once_at_a_time() {
    isolated(|py, handle| {
        let guarded = Arc::new(Guarded::new(py, vec![1]));
        let again = catch_unwind(AssertUnwindSafe(|| {
            guarded.with(py, |_| guarded.with(py, |_| ()));
        }));
        assert!(again.is_err());
        // The panic marked it free again.
        guarded.with(py, |values| values.push(2));
        // A thread that comes in while the first is detached inside finds it in use.
        let (handle, other) = (handle.clone(), Arc::clone(&guarded));
        let met = guarded.with(py, |_| {
            py.detach(|| {
                let lane = thread::spawn(move || {
                    handle.enter(|py| {
                        catch_unwind(AssertUnwindSafe(|| other.with(py, |_| ()))).is_err()
                    })
                });
                lane.join().unwrap()
            })
        });
        assert_eq!(met, Ok(true));
        let elsewhere = py.detach(|| {
            embed().enter(|py| catch_unwind(AssertUnwindSafe(|| guarded.with(py, |_| ()))).is_err())
        });
        assert_eq!(elsewhere, Ok(true));
        assert_eq!(Arc::into_inner(guarded).unwrap().into_inner(), [1, 2]);
    });
}

#[test]
fn an_exception_reaches_a_running_thread() {
    isolated(|py, handle| {
        let (sender, receiver) = mpsc::channel();
        let handle = handle.clone();
        let lane = thread::spawn(move || {
            handle.enter(|py| {
                let threading = import(py, "threading").unwrap();
                let name = Str::new(py, "get_ident").unwrap();
                let ident = threading.call_method0(&name, py).unwrap();
                let thread = ThreadId::current(py);
                assert_eq!(ident.cast::<Int>().unwrap().as_u64(py), Some(thread.ident));
                sender.send(thread).unwrap();
                let globals = Dict::new(py).unwrap();
                let raised = run_source(py, "while True: pass", &globals).unwrap_err();
                raised.matches(pyre_ffi::ExceptionKind::TimeoutError, py)
            })
        });
        let thread = py.detach(move || receiver.recv().unwrap());
        // It may not have begun to run Python code when it tells of itself.
        let frame = loop {
            match frame_of_thread(py, thread) {
                Some(frame) => break frame,
                None => py.detach(thread::yield_now),
            }
        };
        let code = frame.attr(&Str::new(py, "f_code").unwrap(), py).unwrap();
        let name = code.attr(&Str::new(py, "co_name").unwrap(), py).unwrap();
        assert!(name.cast::<Str>().unwrap().equals_str("<module>"));
        drop((frame, code, name));
        let class = pyre_ffi::ExceptionKind::TimeoutError.object(py);
        // What is withdrawn in time is not raised.
        assert!(raise_in_thread(py, thread, &class));
        assert!(withdraw_from_thread(py, thread));
        let kind = pyre_ffi::ExceptionKind::TimeoutError.object(py);
        assert!(raise_in_thread(py, thread, &kind));
        assert_eq!(py.detach(|| lane.join().unwrap()), Ok(true));
        let nobody = ThreadId { ident: 1, state: -1 };
        assert!(!raise_in_thread(py, nobody, &class));
        assert!(frame_of_thread(py, nobody).is_none());
    });
}

#[test]
fn a_context_keeps_what_is_set_in_it() {
    isolated(|py, _| {
        let globals = Dict::new(py).unwrap();
        let source = "import contextvars\nvar = contextvars.ContextVar('var', default=0)";
        run_source(py, source, &globals).unwrap();
        let context = copy_context(py).unwrap();
        let pristine = context.copied_context(py).unwrap();
        context.enter_context(py).unwrap();
        assert!(context.equals(&pristine, py).unwrap());
        context.enter_context(py).unwrap_err().clear(py);
        run_source(py, "var.set(1)", &globals).unwrap();
        context.exit_context(py).unwrap();
        assert!(!context.equals(&pristine, py).unwrap());
        run_source(py, "assert var.get() == 0", &globals).unwrap();
        context.exit_context(py).unwrap_err().clear(py);
        globals.enter_context(py).unwrap_err().clear(py);
    });
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

#[test]
fn a_process_with_several_interpreters_may_be_forked_by_the_main_one() {
    isolated(|py, _| {
        run(py, "import json, threading; threading.Thread(target=json.dumps, args=(1,)).start()");
        assert!(can_fork());
        py.detach(|| {
            let forked = embed().enter(|py| {
                let globals = run(
                    py,
                    r#"
import gc, os, warnings
warnings.simplefilter("ignore")
pid = os.fork()
if pid == 0:
    code = 1
    try:
        gc.collect()
        import decimal
        code = 7 if decimal.Decimal(1) == 1 else 2
    finally:
        os._exit(code)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"#,
                );
                global_i64(&globals, "code", py)
            });
            assert_eq!(forked, Ok(7));
        });
    });
}

#[test]
fn a_child_forked_while_threads_enter_interpreters_can_look_at_its_threads() {
    const CHILDREN: usize = 30;
    isolated(|py, handle| {
        let ended = AtomicBool::new(false);
        py.detach(|| {
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        while !ended.load(Ordering::Relaxed) {
                            handle.enter(|_| ()).unwrap();
                        }
                    });
                }
                let failed = embed().enter(|py| {
                    (0..CHILDREN).map(|_| fork_and_look_at_threads(py)).find(|&code| code != 7)
                });
                ended.store(true, Ordering::Relaxed);
                assert_eq!(failed, Ok(None));
            });
        });
    });
}

/// Forks; the child looks for its frame, and has a while for it. How the child has ended.
fn fork_and_look_at_threads(py: Attached<'_>) -> i64 {
    let globals = run(
        py,
        r#"
import os, signal, warnings
warnings.simplefilter("ignore")
pid = os.fork()
if pid == 0:
    signal.alarm(20)
"#,
    );
    if global_i64(&globals, "pid", py) == 0 {
        let frame = frame_of_thread(py, ThreadId::current(py));
        run(py, if frame.is_none() { "import os; os._exit(7)" } else { "import os; os._exit(1)" });
    }
    run_source(py, "code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])", &globals).unwrap();
    global_i64(&globals, "code", py)
}

#[test]
fn what_was_frozen_is_destroyed_at_the_end_which_others_wait_for_in_vain() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let (hold, mut held) = std::io::pipe().unwrap();
    let source = format!(
        r#"
import gc, os, sys
class Node:
    # At the end of an interpreter globals may be gone.
    read, write = os.read, os.write
    def __del__(self):
        self.write({}, b"!")
        self.read({}, 1)
node = Node()
node.itself = node
sys.node = node
gc.freeze()
"#,
        writer.as_raw_fd(),
        hold.as_raw_fd(),
    );
    let ending = thread::spawn(move || isolated(|py, _| run(py, &source).len()));
    let mut told = [0];
    reader.read_exact(&mut told).unwrap();
    // The destructor runs, and its interpreter ends until it returns.
    let impatient = IsolatedConfig { start_wait: Duration::from_millis(1), ..SOON };
    let refused = run_isolated(impatient, |_, _| ()).unwrap_err();
    assert!(refused.to_string().contains("a destructor may not return"), "{refused}");
    held.write_all(b"!").unwrap();
    ending.join().unwrap();
    drop(writer);
}
