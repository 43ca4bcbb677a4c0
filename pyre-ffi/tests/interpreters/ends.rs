//! How interpreters end, with whatever still runs in them.

use super::*;

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
    assert_eq!(handle.enter(|_| ()), Err(Refused::Closed));
}

/// What such a thread was given it could let go of nowhere else.
#[test]
fn the_end_waits_for_a_thread_that_was_invited_and_comes_late() {
    embed();
    let (came, comes) = mpsc::channel();
    let (late, ended) = run_isolated(SOON, |py, handle| {
        let invitation = handle.invite().unwrap();
        let unused = handle.invite().unwrap();
        let gone = handle.clone();
        let held = Held::new(py, run(py, "x = 1").into_any());
        thread::spawn(move || {
            // Nobody comes in any more, and the interpreter waits for those who were invited.
            while gone.invite().is_ok() {
                thread::yield_now();
            }
            drop(unused);
            invitation.enter(|py| {
                let is_released = held.release(py).is_exact::<Dict>();
                came.send(()).unwrap();
                is_released
            })
        })
    })
    .unwrap();
    assert_eq!(ended, Ended::Clean);
    comes.try_recv().unwrap();
    assert_eq!(late.join().unwrap(), Ok(true));
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
