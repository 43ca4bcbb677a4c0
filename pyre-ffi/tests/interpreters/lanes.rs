//! Threads of one interpreter: they enter, take turns, leave, and are interrupted.

use super::*;

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
