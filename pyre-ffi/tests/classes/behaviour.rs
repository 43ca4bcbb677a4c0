//! What Python code can do with them: attributes, methods, operators; and what must not work.

use super::*;

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
def seen(*values, **named):
    return values[1:], named
assert T.passed() is None
assert T.passed(seen) == ((), {})
assert T.passed(seen, 1, a=2, b=3) == t.passed(seen, 1, b=3, a=2) == ((1,), {"a": 2, "b": 3})
fails(ZeroDivisionError, lambda: T.passed(lambda *_, by: 1 / by, by=0), "division")
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
