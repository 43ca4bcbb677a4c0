//! How long objects and module states live, and in which interpreter.

use super::*;

#[test]
fn references_balance_in_methods() {
    in_interpreter(|py, _| {
        run(
            py,
            r#"
import sys, testing
value = object()
count = sys.getrefcount(value)
t = testing.Thing("x", other=value)
assert sys.getrefcount(value) == count + 1
for _ in range(10):
    assert t.other is value
    t.call(lambda *a: None, value, value)
    t.other = value
    t.itself(); t.twin(); t.home
assert sys.getrefcount(value) == count + 1
before = sys.getrefcount(testing.Thing)
many = [testing.Thing("x") for _ in range(10)]
assert sys.getrefcount(testing.Thing) == before + 10
many.clear()
assert sys.getrefcount(testing.Thing) == before
del t
assert sys.getrefcount(value) == count
testing.keep(value)
assert sys.getrefcount(value) == count + 1
testing.keep(None)
assert sys.getrefcount(value) == count
for _ in range(10):
    try: testing.Thing("x", other=value, wrong=value)
    except TypeError: pass
assert sys.getrefcount(value) == count
"#,
        );
    });
}

#[test]
fn cycles_are_collected_and_values_dropped() {
    in_interpreter(|py, _| {
        collect_garbage(py);
        let before = DROPPED.load(Ordering::Relaxed);
        run(
            py,
            r#"
import testing
a, b = testing.Thing("a"), testing.Thing("b")
a.other, b.other = b, a
c = testing.Thing("c")
c.other = [c]
"#,
        );
        collect_garbage(py);
        assert!(DROPPED.load(Ordering::Relaxed) >= before + 3);
    });
}

#[test]
fn an_interpreter_takes_its_objects_along() {
    let before = DROPPED.load(Ordering::Relaxed);
    in_interpreter(|py, _| {
        // Kept by the module, by a cycle with the module, and by a global of a module.
        run(
            py,
            r#"
import sys, testing
testing.keep(testing.Thing("kept"))
sys.pyre = testing.Thing("global", other=testing)
"#,
        );
    });
    assert!(DROPPED.load(Ordering::Relaxed) >= before + 2);
}

#[test]
fn state_is_found_only_where_it_is() {
    in_interpreter(|py, module| {
        assert!(module.state::<Testing>(py).is_ok());
        let sys = import(py, "sys").unwrap();
        let sys = sys.cast::<ModuleObject>().unwrap();
        assert!(sys.state::<Testing>(py).err().unwrap().matches(ExceptionKind::TypeError, py));
        let class = ExceptionKind::ValueError.object(py);
        assert!(class.state::<Testing>(py).err().unwrap().matches(ExceptionKind::TypeError, py));
        let state = module.state::<Testing>(py).unwrap();
        let counter = Instance::new(py, &state.counter, Counter(Cell::new(1))).unwrap();
        assert_eq!(counter.0.get(), 1);
        assert!(state.thing.cast(&counter, py).is_none());
        assert!(state.counter.cast(&counter, py).is_some());
    });
}

#[test]
fn classes_of_another_interpreter_are_refused() {
    embed();
    let outer = run_isolated(IsolatedConfig::default(), |py, _| {
        let module = Testing::definition().install(py).unwrap();
        let state = module.state::<Testing>(py).unwrap();
        let held = Held::new(py, Str::new(py, "at home").unwrap());
        let class = state.spare.take().unwrap();
        let (held, class) = py.detach(move || {
            let inner = run_isolated(IsolatedConfig::default(), |py, _| {
                let used = catch_unwind(AssertUnwindSafe(|| held.bind(py).len()));
                assert!(used.is_err());
                let made = catch_unwind(AssertUnwindSafe(|| {
                    Instance::new(py, &class, Counter(Cell::new(1))).is_ok()
                }));
                assert!(made.is_err());
                (held, class)
            });
            inner.unwrap().0
        });
        assert!(held.bind(py).equals_str("at home"));
        assert!(Instance::new(py, &class, Counter(Cell::new(1))).is_ok());
    });
    assert_eq!(outer.unwrap().1, Ended::Clean);
}
