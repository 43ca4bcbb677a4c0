//! Calls, attributes, iterators, modules: what runs Python code, and what it raises.

use super::*;

#[test]
fn calls_pass_their_arguments() {
    attached(|py| {
        let check = |object: Result<Owned<'_>, Raised>, expected: &str| {
            let text = match object {
                Ok(object) => object.repr(py).unwrap().as_utf8(py).unwrap().to_owned(),
                Err(raised) => message(raised, py),
            };
            assert_eq!(text, expected);
        };
        let f = eval(py, "def result(*args, **named): return args, named");
        let (one, two) = (Int::new(py, 1).unwrap(), Int::new(py, 2).unwrap());
        check(f.call0(py), "((), {})");
        check(f.call1(&one, py), "((1,), {})");
        check(f.call2(&one, &two, py), "((1, 2), {})");
        let (any_one, any_two) = (one.clone().into_any(), two.clone().into_any());
        let arguments = [any_one.borrow(), any_two.borrow()];
        check(f.call(&arguments, py), "((1, 2), {})");
        check(f.call(&[], py), "((), {})");
        let names = Tuple::new(py, [name(py, "x").into_any()]).unwrap();
        check(f.call_with_names(&arguments, &names, py), "((1,), {'x': 2})");
        check(f.call_with_names(&[], &names, py), "TypeError: more names than arguments");
        let wrong = Tuple::new(py, [any_one.clone()]).unwrap();
        let text = "TypeError: names of arguments must be strings";
        check(f.call_with_names(&arguments, &wrong, py), text);

        let object = eval(
            py,
            "class C:\n  def m(self, *args): return args\n  def fail(self): raise KeyError('k')\n\
             result = C()",
        );
        check(object.call_method0(&name(py, "m"), py), "()");
        check(object.call_method1(&name(py, "m"), &one, py), "(1,)");
        check(object.call_method2(&name(py, "m"), &one, &two, py), "(1, 2)");
        check(object.call_method0(&name(py, "fail"), py), "KeyError: 'k'");
        check(one.call0(py), "TypeError: 'int' object is not callable");
        assert!(f.is_callable() && !one.is_callable());
    });
}

#[test]
fn attributes_items_and_tests() {
    attached(|py| {
        let object = eval(py, "class C: pass\nresult = C()");
        let x = name(py, "x");
        assert!(object.attr_if_any(&x, py).unwrap().is_none());
        let raised = object.attr(&x, py).unwrap_err();
        assert!(raised.matches(ExceptionKind::AttributeError, py));
        drop(raised);
        object.set_attr(&x, &Int::new(py, 5).unwrap(), py).unwrap();
        assert_eq!(object.attr(&x, py).unwrap().cast::<Int>().unwrap().as_i64(), Some(5));
        assert!(object.attr_if_any(&x, py).unwrap().is_some());
        assert!(object.is_instance(&object.class(py), py).unwrap());
        assert!(object.class(py).is_subclass(&object.class(py), py).unwrap());
        assert!(!none(py).is_true(py).unwrap() && Bool::new(py, true).is_true(py).unwrap());
        assert!(object.is_true(py).unwrap());
        let dict = eval(py, "result = {}");
        dict.set_item(&x, &none(py), py).unwrap();
        assert!(dict.item(&x, py).unwrap().is_none());
        assert_eq!(dict.length(py).unwrap(), 1);
        assert!(dict.hash(py).unwrap_err().matches(ExceptionKind::TypeError, py));
        assert!(x.hash(py).is_ok());
        let broken = eval(py, "class C:\n  def __bool__(self): 1 / 0\nresult = C()");
        assert_eq!(
            message(broken.is_true(py).unwrap_err(), py),
            "ZeroDivisionError: division by zero"
        );
        assert_eq!(none(py).type_name(), "NoneType");
    });
}

#[test]
fn iterators_and_coroutines_are_stepped() {
    attached(|py| {
        let values: Vec<i64> = eval(py, "result = (n * n for n in range(4))")
            .iterate(py)
            .unwrap()
            .map(|value| value.unwrap().cast::<Int>().unwrap().as_i64().unwrap())
            .collect();
        assert_eq!(values, [0, 1, 4, 9]);
        let mut failing =
            eval(py, "def g():\n  yield 1\n  1 / 0\nresult = g()").iterate(py).unwrap();
        assert!(failing.next().unwrap().is_ok());
        assert!(failing.next().unwrap().is_err());
        assert!(failing.next().is_none());
        assert!(none(py).iterate(py).is_err());

        let coroutine = eval(
            py,
            "import types\n@types.coroutine\ndef pause():\n  return (yield 'paused')\n\
             async def work():\n  return await pause()\nresult = work()",
        );
        assert!(matches!(coroutine.send(&none(py), py), Ok(Step::Yielded(_))));
        let seven = Int::new(py, 7).unwrap();
        let Ok(Step::Returned(value)) = coroutine.send(&seven, py) else { panic!("no return") };
        assert!(value.is(&seven));
        assert!(coroutine.send(&none(py), py).is_err());
    });
}

#[test]
fn modules_are_imported() {
    attached(|py| {
        let path = import(py, "os.path").unwrap();
        assert!(path.attr(&name(py, "join"), py).unwrap().is_callable());
        let raised = import(py, "no_such_module_of_pyre").unwrap_err();
        assert!(raised.matches(ExceptionKind::ImportError, py));
    });
}

#[test]
fn nesting_is_bounded() {
    let test = |py: Attached<'_>| {
        fn dive(py: Attached<'_>, depth: u32) -> Result<u32, Raised> {
            let _guard = pyre_ffi::RecursionGuard::enter(py, c" in the test")?;
            if depth == 0 { Ok(0) } else { dive(py, depth - 1) }
        }
        assert_eq!(dive(py, 100).unwrap(), 0);
        let raised = dive(py, 10_000_000).unwrap_err();
        assert!(raised.matches(ExceptionKind::RecursionError, py));
        drop(raised);
        assert_eq!(dive(py, 100).unwrap(), 0);
    };
    // CPython's limit is meant for stacks of 8 MB; the threads of tests have 2.
    let thread = std::thread::Builder::new().stack_size(64 << 20);
    thread.spawn(move || attached(test)).unwrap().join().unwrap();
}

#[test]
fn exceptions_are_raised_taken_and_put_back() {
    attached(|py| {
        let raised = Raised::value_error(py, "no \u{20ac}");
        assert!(raised.matches(ExceptionKind::ValueError, py));
        assert!(raised.matches(ExceptionKind::Exception, py));
        assert!(!raised.matches(ExceptionKind::TypeError, py));
        assert!(raised.matches_class(&ExceptionKind::ValueError.object(py), py));
        let exception = raised.take(py);
        assert!(exception.is_kind(ExceptionKind::ValueError));
        let raised = Raised::restore(py, exception.clone());
        assert!(raised.take(py).is(&exception));

        let class = eval(py, "class Mine(Exception): pass\nresult = Mine");
        let raised = Raised::with(py, &class, &Str::new(py, "text").unwrap());
        assert_eq!(message(raised, py), "Mine: text");
        let raised = Raised::with(py, &none(py), &none(py));
        assert!(raised.matches(ExceptionKind::SystemError, py));
        drop(raised);

        // An exception that was dropped cannot surface in the next call.
        drop(Raised::type_error(py, "ignored"));
        assert_eq!(eval(py, "result = 1").cast::<Int>().unwrap().as_i64(), Some(1));

        // One that was replaced is reported as lost, and is not taken for success.
        let first = Raised::type_error(py, "first");
        drop(Raised::type_error(py, "second"));
        assert_eq!(message(first, py), "SystemError: the exception was lost");
    });
}

#[test]
fn what_is_done_at_the_end_sees_no_exception_and_loses_none() {
    attached(|py| {
        // An exception that was still set would be lost by this.
        let work = || {
            Raised::runtime_error(py, "came and went").clear(py);
            Ok(())
        };
        let fail = || Err(Raised::type_error(py, "second"));
        assert_eq!(finally(Ok(7), py, work).ok(), Some(7));
        let failed = finally(Err::<(), _>(Raised::value_error(py, "first")), py, work);
        assert_eq!(message(failed.unwrap_err(), py), "ValueError: first");
        assert_eq!(message(finally(Ok(7), py, fail).unwrap_err(), py), "TypeError: second");

        let first = Raised::value_error(py, "first").take(py);
        let before = first.reference_count();
        let failed = finally(Err::<(), _>(Raised::restore(py, first.clone())), py, fail);
        let second = failed.unwrap_err().take(py);
        assert!(second.is_kind(ExceptionKind::TypeError));
        assert!(second.attr(&name(py, "__context__"), py).unwrap().is(&first));
        drop(second);
        assert_eq!(first.reference_count(), before);

        // The same exception again has no context.
        let again = || Err(Raised::restore(py, first.clone()));
        let failed = finally(Err::<(), _>(Raised::restore(py, first.clone())), py, again);
        assert!(failed.unwrap_err().take(py).attr(&name(py, "__context__"), py).unwrap().is_none());
        assert_eq!(first.reference_count(), before);
    });
}

#[test]
fn unraisable_exceptions_reach_the_hook() {
    attached(|py| {
        let seen = eval(
            py,
            "import sys\nresult = []\n\
             sys.unraisablehook = lambda u: result.append(f'{u.object}: {u.exc_value}')",
        );
        Raised::value_error(py, "nobody left").write_unraisable("the test", py);
        let seen = seen.cast::<List>().unwrap();
        let text = seen.get(0, py).unwrap();
        assert!(text.cast::<Str>().unwrap().equals_str("the test: nobody left"));
        let globals = Dict::new(py).unwrap();
        run_source(py, "import sys; sys.unraisablehook = sys.__unraisablehook__", &globals)
            .unwrap();
    });
}
