//! Classes and modules described in Rust, used from Python: attributes, methods, behaviour,
//! garbage collection, panics, and the counts of references in all of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    cell::{Cell, RefCell},
    ffi::CStr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
};

use pyre_ffi::{
    Arguments, Attached, Class, ClassHandle, ClassSpec, Dict, ExceptionKind, Held, Instance, Int,
    Module, ModuleBuilder, ModuleDefinition, Names, Object, Owned, Raised, Signature, Slot, Str,
    Type, Visitor, collect_garbage, import,
    interpreter::{Ended, IsolatedConfig, embed, run_isolated},
    module::{ModuleObject, ModuleState},
    none, run_source,
};

/// How many `Thing`s were dropped, in all interpreters.
static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// A class with everything.
struct Thing {
    label: RefCell<String>,
    count: Cell<i64>,
    other: Slot,
    fixed: Held<Str>,
    bytes: Box<[u8]>,
}

impl Thing {
    fn make(
        py: Attached<'_>,
        arguments: Arguments<'_>,
        class: &Object<Type>,
    ) -> Result<Thing, Raised> {
        const SIGNATURE: Signature<3> = Signature {
            function: "Thing",
            names: ["label", "count", "other"],
            required: 1,
            positional_max: 2,
        };
        let [label, count, other] = arguments.parse(&SIGNATURE, py)?;
        let Some(label) = label.as_ref().and_then(|label| label.cast::<Str>()) else {
            return Err(Raised::type_error(py, "label must be a str"));
        };
        let count = count.as_ref().and_then(|count| count.cast::<Int>()?.as_i64()).unwrap_or(0);
        let state = class.state::<Testing>(py)?;
        Ok(Thing {
            label: RefCell::new(label.as_utf8(py)?.to_owned()),
            count: Cell::new(count),
            other: other.map_or(Slot::empty(), |other| Slot::new(py, other.to_owned(py))),
            fixed: Held::new(py, state.names.at(0, py).to_owned(py)),
            bytes: Box::from(&b"seen from outside"[..]),
        })
    }

    fn label<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(Str::new(py, &self.label.borrow())?.into_any())
    }

    fn set_label(&self, py: Attached<'_>, value: &Object) -> Result<(), Raised> {
        let Some(text) = value.cast::<Str>() else {
            return Err(Raised::type_error(py, "label must be a str"));
        };
        *self.label.borrow_mut() = text.as_utf8(py)?.to_owned();
        Ok(())
    }

    fn fixed<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(self.fixed.bind(py).to_owned(py).into_any())
    }

    fn other<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.other.get_or_make(py, || Ok(none(py)))
    }

    fn set_other(&self, py: Attached<'_>, value: &Object) -> Result<(), Raised> {
        self.other.set(py, value.to_owned(py));
        Ok(())
    }

    fn bump<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.count.set(self.count.get() + 1);
        Ok(Int::new(py, self.count.get())?.into_any())
    }

    fn call<'py>(&self, py: Attached<'py>, arguments: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let Some((function, rest)) = arguments.positional().split_first() else {
            return Err(Raised::type_error(py, "call() needs a function"));
        };
        function.call(rest, py)
    }

    fn panics<'py>(&self, _: Attached<'py>) -> Result<Owned<'py>, Raised> {
        panic!("the label is {}", self.label.borrow())
    }

    fn lies<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let raised = Raised::value_error(py, "taken before it was returned");
        let _second = Raised::value_error(py, "clears what the first one stands for");
        Err(raised)
    }

    fn key(py: Attached<'_>, key: &Object) -> Result<i64, Raised> {
        match key.cast::<Int>().and_then(Object::<Int>::as_i64) {
            Some(key @ 0..10) => Ok(key),
            Some(_) => Err(Raised::with(py, &ExceptionKind::KeyError.object(py), key)),
            None => Err(Raised::type_error(py, "keys are int")),
        }
    }
}

impl Drop for Thing {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

impl Class for Thing {
    const NAME: &'static CStr = c"testing.Thing";
    const DOC: &'static CStr = c"A thing.";

    fn describe(spec: &mut ClassSpec<Thing>) {
        spec.property(c"label", c"The label.", Thing::label, Thing::set_label)
            .property(c"other", c"", Thing::other, Thing::set_other)
            .bound_property(
                c"home",
                c"",
                |this, py| Ok(this.module(py)?.into_any()),
                Thing::set_other,
            )
            .getter(c"fixed", c"", Thing::fixed)
            .getter(c"broken", c"", Thing::panics)
            .method0(c"bump", c"bump($self, /)\n--\n\nCount one.", Thing::bump)
            .method0(c"panics", c"", Thing::panics)
            .method0(c"lies", c"", Thing::lies)
            .method(c"call", c"", Thing::call)
            .bound_method(c"itself", c"", |this, py, _| Ok(this.to_owned(py).into_any()))
            .bound_method(c"twin", c"", |this, py, _| {
                let state = this.state::<Testing>(py)?;
                let twin = Thing {
                    label: this.label.clone(),
                    count: this.count.clone(),
                    other: Slot::empty(),
                    fixed: Held::new(py, this.fixed.to_owned(py)),
                    bytes: this.bytes.clone(),
                };
                Ok(Instance::new(py, &state.thing, twin)?.into_any())
            })
            .constructor(Thing::make)
            .repr(|this, py| Str::new(py, &format!("<Thing {}>", this.label.borrow())))
            .equals(|this, _, other| {
                Ok(other.cast::<Int>().map(|other| other.as_i64() == Some(this.count.get())))
            })
            .length(|this, _| Ok(usize::try_from(this.count.get()).unwrap_or(0)))
            .item(|this, py, key| {
                Ok(Int::new(py, Thing::key(py, key)? + this.count.get())?.into_any())
            })
            .assign_item(|this, py, key, value| {
                let key = Thing::key(py, key)?;
                let delta = value.and_then(|value| value.cast::<Int>()?.as_i64()).unwrap_or(-1000);
                this.count.set(key + delta);
                Ok(())
            })
            .contains(|_, py, key| Ok(Thing::key(py, key).map(|_| true).unwrap_or(false)))
            .iterate(|_, py| import(py, "testing")?.attr(&*Str::new(py, "counter")?, py)?.call0(py))
            .buffer(|this| &this.bytes)
            .gc();
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.other);
        visitor.held(&self.fixed);
    }

    fn clear(&self, py: Attached<'_>) {
        self.other.clear(py);
    }
}

/// An iterator from 3 down, that Python code cannot make by itself, without garbage collection.
struct Counter(Cell<i64>);

impl Class for Counter {
    const NAME: &'static CStr = c"testing.Counter";
    const DOC: &'static CStr = c"";

    fn describe(spec: &mut ClassSpec<Counter>) {
        spec.next(|this, py| {
            let left = this.0.replace(this.0.get() - 1);
            if left > 0 { Ok(Some(Int::new(py, left)?.into_any())) } else { Ok(None) }
        });
    }
}

/// A class whose drop panics.
struct Grenade;

impl Class for Grenade {
    const NAME: &'static CStr = c"testing.Grenade";
    const DOC: &'static CStr = c"";

    fn describe(spec: &mut ClassSpec<Grenade>) {
        spec.constructor(|_, _, _| Ok(Grenade));
    }
}

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("dropped a grenade");
    }
}

struct Testing;

struct TestingState {
    thing: ClassHandle<Thing>,
    counter: ClassHandle<Counter>,
    names: Names<1>,
    kept: Slot,
    spare: RefCell<Option<ClassHandle<Counter>>>,
}

impl ModuleState for TestingState {
    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.thing.visit(visitor);
        self.counter.visit(visitor);
        visitor.slot(&self.kept);
        if let Some(spare) = &*self.spare.borrow() {
            spare.visit(visitor);
        }
    }

    fn clear(&self, py: Attached<'_>) {
        self.kept.clear(py);
    }
}

impl Module for Testing {
    const NAME: &'static CStr = c"testing";
    const DOC: &'static CStr = c"What the tests use.";
    type State = TestingState;

    fn definition() -> &'static ModuleDefinition<Testing> {
        static DEFINITION: ModuleDefinition<Testing> = ModuleDefinition::new();
        &DEFINITION
    }

    fn execute<'py>(
        module: &ModuleBuilder<'py>,
        py: Attached<'py>,
    ) -> Result<TestingState, Raised> {
        module.class::<Grenade>()?;
        module.exception(
            c"testing.Failure",
            c"It failed.",
            &ExceptionKind::ValueError.object(py),
        )?;
        module.add(c"answer", &*Int::new(py, 42)?)?;
        module.function(c"counter", c"counter()\n--\n\nCount down.", |module, py, _| {
            let state = module.state::<Testing>(py)?;
            Ok(Instance::new(py, &state.counter, Counter(Cell::new(3)))?.into_any())
        })?;
        module.function(c"keep", c"", |module, py, arguments| {
            let state = module.state::<Testing>(py)?;
            state.kept.set(py, arguments.positional()[0].to_owned(py));
            Ok(none(py))
        })?;
        module.function(c"is_thing", c"", |module, py, arguments| {
            let state = module.state::<Testing>(py)?;
            let thing = state.thing.cast(&arguments.positional()[0], py);
            Ok(pyre_ffi::Bool::new(py, thing.is_some_and(|thing| thing.count.get() >= 0))
                .into_any())
        })?;
        Ok(TestingState {
            thing: module.class()?,
            counter: module.hidden_class()?,
            names: Names::intern(py, ["label"])?,
            kept: Slot::empty(),
            spare: RefCell::new(Some(module.hidden_class()?)),
        })
    }
}

/// Runs `test` in an interpreter of its own that has the module.
fn in_interpreter(test: impl for<'py> FnOnce(Attached<'py>, &Object<ModuleObject>) + Send) {
    embed();
    let ended = run_isolated(IsolatedConfig::default(), |py, _| {
        let module = Testing::definition().install(py).unwrap();
        test(py, &module);
    });
    assert_eq!(ended.unwrap().1, Ended::Clean);
}

/// Runs Python code, and fails with what it raised.
fn run(py: Attached<'_>, source: &str) {
    if let Err(raised) = run_source(py, source, &Dict::new(py).unwrap()) {
        let exception = raised.take(py);
        let text = import(py, "traceback")
            .and_then(|module| module.attr(&*Str::new(py, "format_exception")?, py))
            .and_then(|format| format.call1(&exception, py))
            .and_then(|lines| lines.str(py))
            .unwrap();
        panic!("{}", text.as_utf8(py).unwrap().replace("\\n", "\n"));
    }
}

#[test]
fn attributes_and_methods() {
    in_interpreter(|py, _| {
        run(
            py,
            r#"
import testing
t = testing.Thing("first", 5)
assert t.label == "first" and t.fixed == "label" and t.other is None
t.label = "second"
assert t.label == "second" and repr(t) == "<Thing second>"
assert t.bump() == 6 and t.bump() == 7
assert t.itself() is t
assert t.home is testing
t.home = 5
assert t.other == 5
twin = t.twin()
assert twin is not t and twin.label == "second" and type(twin) is testing.Thing
assert t.call(lambda *a: a, 1, 2) == (1, 2)
assert testing.Thing.bump.__doc__ == "Count one."
assert testing.Thing.bump.__text_signature__ == "($self, /)"
assert testing.Thing.__doc__ == "A thing." and testing.Thing.__module__ == "testing"
assert testing.answer == 42 and testing.__doc__ == "What the tests use."
assert issubclass(testing.Failure, ValueError) and testing.Failure.__doc__ == "It failed."
assert testing.is_thing(t) and not testing.is_thing(1)
testing.keep(t)
"#,
        );
    });
}

#[test]
fn behaviour_of_containers() {
    in_interpreter(|py, _| {
        run(
            py,
            r#"
import testing
t = testing.Thing("x", count=3)
assert len(t) == 3 and t[2] == 5 and 3 in t and "no" not in t
t[1] = 4
assert len(t) == 5
del t[0]
assert t[0] == -1000
assert list(testing.counter()) == [3, 2, 1] and list(t) == [3, 2, 1]
c = testing.counter()
assert iter(c) is c
assert t == -1000 and t != 5 and not t == 5 and t != "text"
view = memoryview(t)
assert bytes(view) == b"seen from outside" and view.readonly
del t
assert bytes(view) == b"seen from outside"
try: view[0] = 1
except TypeError: pass
else: raise AssertionError("the bytes could be written to")
"#,
        );
    });
}

#[test]
fn what_must_not_work() {
    in_interpreter(|py, _| {
        run(
            py,
            r#"
import testing
t = testing.Thing("x", 3)
def fails(kind, call, text):
    try: call()
    except kind as e: assert text in str(e), (text, str(e))
    else: raise AssertionError(f"no {kind.__name__}: {text}")
T = testing.Thing
fails(TypeError, lambda: T(), "Thing() missing required argument: 'label'")
fails(TypeError, lambda: T("a", 1, 2), "Thing() takes at most 2 positional arguments (3 given)")
fails(TypeError, lambda: T("a", label="b"), "Thing() got multiple values for argument 'label'")
fails(TypeError, lambda: T("a", wrong=1), "Thing() got an unexpected keyword argument 'wrong'")
fails(TypeError, lambda: T(5), "label must be a str")
fails(TypeError, lambda: T.__new__(T, "a", wrong=1), "unexpected keyword argument 'wrong'")
fails(TypeError, lambda: T.__new__(int, "a"), "")
fails(TypeError, lambda: T.bump(5), "")
fails(TypeError, lambda: T.label.__get__(5), "")
fails(TypeError, lambda: T.__len__("x"), "")
fails(TypeError, lambda: type("Sub", (T,), {}), "not an acceptable base type")
fails(TypeError, lambda: type(testing.counter())(), "cannot create")
fails(TypeError, lambda: setattr(T, "new", 1), "immutable type")
fails(TypeError, lambda: setattr(t, "__class__", testing.Grenade), "")
fails(TypeError, lambda: object.__new__(T), "not safe")
fails(TypeError, lambda: object.__new__(type(testing.counter())), "testing.Counter")
fails(AttributeError, lambda: setattr(t, "unknown", 1), "unknown")
fails(AttributeError, lambda: setattr(t, "fixed", 1), "")
fails(AttributeError, lambda: delattr(t, "label"), "cannot be deleted")
fails(TypeError, lambda: setattr(t, "label", 1), "label must be a str")
fails(TypeError, lambda: t.bump(1), "takes no arguments")
fails(KeyError, lambda: t[10], "10")
fails(TypeError, lambda: t["a"], "keys are int")
fails(TypeError, lambda: t < 1, "not supported")
fails(ZeroDivisionError, lambda: t.call(lambda: 1 / 0), "division")
fails(SystemError, t.lies, "without an exception")
assert T.__new__(T, "by new", count=9).bump() == 10
"#,
        );
    });
}

#[test]
fn panics_stop_at_the_border() {
    in_interpreter(|py, _| {
        run(
            py,
            r#"
import sys, testing
t = testing.Thing("seven")
for call in (t.panics, lambda: t.broken):
    try: call()
    except RuntimeError as e: assert str(e) == "internal error in Pyre: the label is seven", str(e)
    else: raise AssertionError("no exception")
try: testing.keep()
except RuntimeError as e: assert "index out of bounds" in str(e), str(e)
else: raise AssertionError("no exception")
seen = []
sys.unraisablehook = lambda u: seen.append((u.object, str(u.exc_value)))
try:
    raise KeyError("kept")
except KeyError:
    testing.Grenade()
    assert sys.exception().args == ("kept",)
assert seen == [("testing.Grenade", "internal error in Pyre: dropped a grenade")], seen
"#,
        );
    });
}

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
fn python_code_may_enter_a_method_again() {
    in_interpreter(|py, _| {
        run(
            py,
            r#"
import testing
t = testing.Thing("outer")
def again():
    t.label = "inner"
    t.other = None
    return t.bump()
assert t.call(again) == 1 and t.label == "inner"
class Loud:
    def __del__(self): t.label = "deleted"
t.other = Loud()
t.other = None
assert t.label == "deleted"
"#,
        );
    });
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
