//! Forks of a process with several interpreters.

use super::*;

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
