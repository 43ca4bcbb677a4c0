//! Objects of the built-in types: made, read, counted, and what happens when they fail.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use pyre_ffi::{
    Attached, Bool, Buffer, Bytes, Dict, Differing, ExceptionKind, Float, Int, Kind, List, Owned,
    Raised, Step, Str, Text, Tuple, collect_garbage, disable_gc, enable_gc, finally, freeze_gc,
    gc_is_enabled, import,
    interpreter::{Ended, IsolatedConfig, embed, run_isolated},
    none, run_source,
};

/// Runs `test` attached to the main interpreter.
fn attached(test: impl for<'py> FnOnce(Attached<'py>) + Send) {
    embed().enter(test).unwrap();
}

/// Runs `source` and gives what it named `result`.
fn eval<'py>(py: Attached<'py>, source: &str) -> Owned<'py> {
    let globals = Dict::new(py).unwrap();
    if let Err(raised) = run_source(py, source, &globals) {
        panic!("{}", message(raised, py));
    }
    globals.get(&Str::new(py, "result").unwrap(), py).unwrap().unwrap()
}

/// `ValueError: text` of an exception.
fn message(raised: Raised, py: Attached<'_>) -> String {
    let exception = raised.take(py);
    let text = exception.str(py).unwrap();
    format!("{}: {}", exception.type_name(), text.as_utf8(py).unwrap())
}

fn name<'py>(py: Attached<'py>, text: &str) -> Owned<'py, Str> {
    Str::intern(py, text).unwrap()
}

#[test]
fn text_comes_back_as_it_was() {
    attached(|py| {
        for text in ["", "a", "plain", "l\u{e4}tin", "\u{20ac}uro", "\u{1f600}", "a\0b"] {
            let object = Str::new(py, text).unwrap();
            assert_eq!(object.as_utf8(py).unwrap(), text);
            assert_eq!(object.len(), text.chars().count());
            assert_eq!(object.is_empty(), text.is_empty());
            assert!(object.equals_str(text));
            assert!(!object.equals_str("something else"));
            assert!(object.is_exact::<Str>());
            assert_eq!(object.kind(), Kind::Str);
            assert_eq!(Str::utf8(py, text.as_bytes()).unwrap().as_utf8(py).unwrap(), text);
            assert!(object.equals(&Str::new(py, text).unwrap(), py).unwrap());
        }
    });
}

#[test]
fn text_of_every_length_with_a_wide_character_at_every_place() {
    attached(|py| {
        for length in 0..40 {
            let plain: String = ('!'..).take(length).collect();
            let object = Str::latin1(py, plain.as_bytes()).unwrap();
            assert_eq!(object.view(), Text::Ascii(&plain));
            for place in 0..length {
                let mut bytes = plain.clone().into_bytes();
                bytes[place] = 0xe9;
                let object = Str::latin1(py, &bytes).unwrap();
                assert_eq!(object.view(), Text::Latin1(&bytes), "{place} of {length}");
                assert!(Str::utf8(py, &bytes).is_err(), "{place} of {length}");
            }
        }
    });
}

#[test]
fn text_shows_its_width() {
    attached(|py| {
        let check = |text: &str, expected: Text<'_>| {
            assert_eq!(Str::new(py, text).unwrap().view(), expected, "{text}");
        };
        check("ascii", Text::Ascii("ascii"));
        check("\u{ff}", Text::Latin1(&[0xff]));
        check("\u{100}", Text::Ucs2(&[0x100]));
        check("\u{10000}", Text::Ucs4(&[0x10000]));
        assert_eq!(Str::latin1(py, b"\xe4x").unwrap().as_utf8(py).unwrap(), "\u{e4}x");
        assert_eq!(Str::latin1(py, b"x").unwrap().as_ascii(), Some("x"));
        assert_eq!(Str::new(py, "\u{e4}").unwrap().as_ascii(), None);
    });
}

#[test]
fn text_of_subclasses_is_read_too() {
    attached(|py| {
        let check = |literal: &str, expected: Text<'_>| {
            let source = format!("class S(str): pass\nresult = S({literal})");
            let object = eval(py, &source);
            assert!(!object.is_exact::<Str>());
            assert_eq!(object.kind(), Kind::Other);
            let text = object.cast::<Str>().unwrap();
            assert_eq!(text.view(), expected);
        };
        check("'ascii'", Text::Ascii("ascii"));
        check("'\\xff'", Text::Latin1(&[0xff]));
        check("'\\u0100'", Text::Ucs2(&[0x100]));
        check("'\\U00010000'", Text::Ucs4(&[0x10000]));
    });
}

#[test]
fn text_that_is_no_text_raises() {
    attached(|py| {
        let raised = Str::utf8(py, b"\xff").unwrap_err();
        assert!(raised.matches(ExceptionKind::UnicodeDecodeError, py));
        drop(raised);
        let lone = Str::wtf8(py, b"\xed\xa0\x80").unwrap();
        assert_eq!(lone.view(), Text::Ucs2(&[0xd800]));
        let raised = lone.as_utf8(py).unwrap_err();
        assert!(raised.matches(ExceptionKind::UnicodeEncodeError, py));
        drop(raised);
        assert_eq!(Str::utf8_lossy(py, b"a\xff").unwrap().as_utf8(py).unwrap(), "a\u{fffd}");
    });
}

#[test]
fn interned_names_are_one_object() {
    attached(|py| {
        assert!(name(py, "pyre_interned").is(&name(py, "pyre_interned")));
        assert!(!Str::new(py, "pyre_other").unwrap().is(&Str::new(py, "pyre_other").unwrap()));
    });
}

#[test]
fn bytes_are_copied_and_filled() {
    attached(|py| {
        for bytes in [&b""[..], b"a", b"ab", b"\0\xff\n"] {
            assert_eq!(Bytes::new(py, bytes).unwrap().as_slice(), bytes);
            let filled = Bytes::new_with(py, bytes.len(), |place| {
                assert!(place.iter().all(|byte| *byte == 0));
                place.copy_from_slice(bytes);
            });
            assert_eq!(filled.unwrap().as_slice(), bytes);
        }
        // One byte and none are shared by everybody, so writing to them would show here.
        assert_eq!(Bytes::new(py, b"a").unwrap().as_slice(), b"a");
    });
}

#[test]
fn buffers_are_copied_and_released() {
    attached(|py| {
        let array = eval(py, "result = bytearray(b'some bytes')");
        assert!(array.has_buffer());
        let buffer = Buffer::of(&array, py).unwrap();
        assert_eq!(buffer.len(), 10);
        assert_eq!(buffer.to_vec(), b"some bytes");
        // As long as the buffer is held, the array refuses to move its memory.
        let append = name(py, "append");
        let one = Int::new(py, 1).unwrap();
        let raised = array.call_method1(&append, &one, py).unwrap_err();
        assert!(raised.matches(ExceptionKind::BufferError, py));
        drop(raised);
        drop(buffer);
        array.call_method1(&append, &one, py).unwrap();
        let raised = Buffer::of(&one, py).err().unwrap();
        assert!(raised.matches(ExceptionKind::TypeError, py));
        drop(raised);
        let uneven = eval(py, "result = memoryview(b'abcdef')[::2]");
        let raised = Buffer::of(&uneven, py).err().unwrap();
        assert!(raised.matches(ExceptionKind::BufferError, py));
    });
}

#[test]
fn ints_of_all_sizes() {
    attached(|py| {
        for value in [0, 1, -1, 255, -5, 1 << 29, 1 << 30, -(1 << 30), 1 << 31, i64::MIN, i64::MAX]
        {
            let object = Int::new(py, value).unwrap();
            assert_eq!(object.as_i64(), Some(value));
            assert_eq!(object.to_decimal(py).unwrap().as_ascii().unwrap(), value.to_string());
            let parsed = Int::from_decimal(py, &value.to_string()).unwrap();
            assert_eq!(parsed.as_i64(), Some(value));
            assert_eq!(object.as_u64(py), u64::try_from(value).ok());
        }
        let big = Int::from_u64(py, u64::MAX).unwrap();
        assert_eq!((big.as_i64(), big.as_u64(py)), (None, Some(u64::MAX)));
        let digits = "-123456789012345678901234567890";
        let huge = Int::from_decimal(py, digits).unwrap();
        assert_eq!((huge.as_i64(), huge.as_u64(py)), (None, None));
        assert_eq!(huge.to_decimal(py).unwrap().as_ascii(), Some(digits));
        let raised = Int::from_decimal(py, "12x").unwrap_err();
        assert!(raised.matches(ExceptionKind::ValueError, py));
        drop(raised);
        let member = eval(py, "import enum\nclass E(enum.IntEnum):\n  A = 7\nresult = E.A");
        let member = member.cast::<Int>().unwrap();
        assert_eq!(member.as_i64(), Some(7));
        assert_eq!(member.to_decimal(py).unwrap().as_ascii(), Some("7"));
    });
}

#[test]
fn kinds_are_exact() {
    attached(|py| {
        let check = |source: &str, expected: Kind| {
            assert_eq!(eval(py, &format!("result = {source}")).kind(), expected, "{source}");
        };
        check("None", Kind::None);
        check("True", Kind::Bool);
        check("1", Kind::Int);
        check("1.5", Kind::Float);
        check("''", Kind::Str);
        check("b''", Kind::Bytes);
        check("[]", Kind::List);
        check("()", Kind::Tuple);
        check("{}", Kind::Dict);
        check("object()", Kind::Other);
        check("type('D', (dict,), {})()", Kind::Other);
        assert_eq!(none(py).as_bool(), None);
        assert_eq!(Bool::new(py, true).as_bool(), Some(true));
        assert_eq!(Bool::new(py, false).as_bool(), Some(false));
        assert!(Bool::new(py, true).is_a::<Int>() && !Bool::new(py, true).is_exact::<Int>());
        assert_eq!(Float::new(py, -0.5).unwrap().as_f64(), -0.5);
        assert!(none(py).cast::<Dict>().is_none());
    });
}

#[test]
fn lists_are_made_from_the_top_of_a_stack() {
    attached(|py| {
        // Small ints live for ever: those up to 1024 from 3.15 on.
        let mut stack: Vec<Owned<'_>> =
            (0..5).map(|value| Int::new(py, value + 1_000_000).unwrap().into_any()).collect();
        let counts: Vec<isize> = stack.iter().map(|value| value.reference_count()).collect();
        let kept = stack[4].clone();
        let list = List::from_tail(py, &mut stack, 2).unwrap();
        assert_eq!((stack.len(), list.len()), (2, 3));
        assert!(list.get(2, py).unwrap().is(&kept));
        assert!(list.get(3, py).is_none());
        assert_eq!(kept.reference_count(), counts[4] + 1);
        list.append(&none(py), py).unwrap();
        assert_eq!(list.len(), 4);
        drop(list);
        assert_eq!(kept.reference_count(), counts[4]);
        assert!(List::new(py).unwrap().is_empty());
        assert!(List::from_vec(py, Vec::new()).unwrap().is_empty());
    });
}

#[test]
fn tuples_lend_their_items() {
    attached(|py| {
        let tuple = Tuple::new(py, [none(py), Int::new(py, 3).unwrap().into_any()]).unwrap();
        assert_eq!(tuple.len(), 2);
        assert!(tuple.items()[0].is_none());
        assert_eq!(tuple.items()[1].cast::<Int>().unwrap().as_i64(), Some(3));
        assert!(Tuple::new(py, []).unwrap().items().is_empty());
    });
}

#[test]
fn dicts_are_filled_and_walked() {
    attached(|py| {
        for capacity in [0, 3, 100] {
            let dict = Dict::with_capacity(py, capacity).unwrap();
            for number in 0..50 {
                let key = Str::new(py, &format!("key {number}")).unwrap();
                dict.set(&key, &Int::new(py, number).unwrap(), py).unwrap();
            }
            assert_eq!(dict.len(), 50);
            let key = Str::new(py, "key 7").unwrap();
            let value = dict.get(&key, py).unwrap().unwrap();
            assert_eq!(value.cast::<Int>().unwrap().as_i64(), Some(7));
            assert!(dict.contains(&key, py).unwrap());
            dict.delete(&key, py).unwrap();
            assert!(dict.get(&key, py).unwrap().is_none());
            let raised = dict.delete(&key, py).unwrap_err();
            assert!(raised.matches(ExceptionKind::KeyError, py));
            drop(raised);
            let mut seen = 0;
            for entry in dict.items(py) {
                let (key, value) = entry.unwrap();
                let number = value.cast::<Int>().unwrap().as_i64().unwrap();
                assert!(key.cast::<Str>().unwrap().equals_str(&format!("key {number}")));
                seen += 1;
            }
            assert_eq!(seen, 49);
            assert_eq!(dict.copy(py).unwrap().len(), 49);
        }
        let raised = Dict::new(py).unwrap().set(&List::new(py).unwrap(), &none(py), py);
        assert!(raised.unwrap_err().matches(ExceptionKind::TypeError, py));
    });
}

#[test]
fn a_dict_takes_the_tail_of_a_vector() {
    attached(|py| {
        for pairs in [0, 1, 5, 6, 40] {
            let mut values = vec![none(py)];
            for number in 0..pairs {
                values.push(Str::new(py, &format!("k{number}")).unwrap().into_any());
                values.push(Int::new(py, number).unwrap().into_any());
            }
            let dict = Dict::from_tail(py, &mut values, 1).unwrap();
            assert_eq!((values.len(), dict.len()), (1, pairs as usize));
            for (entry, number) in dict.items(py).zip(0..) {
                let (key, value) = entry.unwrap();
                assert!(key.cast::<Str>().unwrap().equals_str(&format!("k{number}")));
                assert_eq!(value.cast::<Int>().unwrap().as_i64(), Some(number));
            }
        }
        let key = eval(py, "result = object()");
        let value = eval(py, "result = object()");
        let mut values = vec![key.clone(), none(py), key.clone(), value.clone()];
        let dict = Dict::from_tail(py, &mut values, 0).unwrap();
        assert!(dict.get(&key, py).unwrap().unwrap().is(&value), "the last one wins");
        drop(dict);
        assert_eq!((key.reference_count(), value.reference_count()), (1, 1));
        let mut values = vec![key.clone(), value.clone(), List::new(py).unwrap().into_any()];
        values.extend([value.clone(), key.clone(), value.clone()]);
        let raised = Dict::from_tail(py, &mut values, 0).unwrap_err();
        // From 3.14 on it also says for what that is wanted.
        let text = message(raised, py);
        assert!(text.starts_with("TypeError: "), "{text}");
        assert!(text.contains("unhashable type: 'list'"), "{text}");
        assert_eq!((key.reference_count(), value.reference_count()), (1, 1));
    });
}

#[test]
fn a_dict_that_changes_under_a_walk_raises() {
    attached(|py| {
        let dict = eval(py, "result = {'a': 1, 'b': 2}");
        let dict = dict.cast::<Dict>().unwrap();
        let mut items = dict.items(py);
        assert!(items.next().unwrap().is_ok());
        dict.set(&Str::new(py, "c").unwrap(), &none(py), py).unwrap();
        let raised = items.next().unwrap().err().unwrap();
        assert_eq!(message(raised, py), "RuntimeError: dictionary changed size during iteration");
        assert!(items.next().is_none());
    });
}

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
fn references_balance() {
    attached(|py| {
        let object = eval(py, "result = object()");
        assert!(object.is_unique());
        let second = object.clone();
        assert_eq!(object.reference_count(), 2);
        assert!(!object.is_unique());
        let third = second.borrow().to_owned(py);
        assert_eq!(object.reference_count(), 3);
        drop((second, third));
        let dict = Dict::new(py).unwrap();
        dict.set(&object, &object, py).unwrap();
        assert_eq!(object.reference_count(), 3);
        for entry in dict.items(py) {
            let (key, value) = entry.unwrap();
            assert!(key.is(&object) && value.is(&object));
            assert_eq!(object.reference_count(), 5);
        }
        drop(dict);
        let tuple = Tuple::new(py, [object.clone(), object.clone()]).unwrap();
        assert_eq!(object.reference_count(), 3);
        drop(tuple);
        assert!(object.is_unique());
        let before = none(py).reference_count();
        for _ in 0..100 {
            drop(none(py).clone());
        }
        assert_eq!(none(py).reference_count(), before);
    });
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
fn objects_are_detached_from_and_found_again() {
    attached(|py| {
        let text = Str::new(py, "still here").unwrap();
        let view = text.as_utf8(py).unwrap();
        let length = py.detach(|| view.len());
        assert_eq!(length, 10);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            py.detach(|| panic!("on the way"));
        }));
        assert!(caught.is_err());
        assert_eq!(text.as_utf8(py).unwrap(), "still here");
    });
}

#[test]
fn garbage_is_collected_on_demand() {
    embed();
    // In an interpreter of its own: collections of other tests would get in the way.
    let ended = run_isolated(IsolatedConfig::default(), |py, _| {
        assert!(gc_is_enabled(py));
        assert!(disable_gc(py));
        assert!(!gc_is_enabled(py));
        collect_garbage(py);
        drop(eval(py, "result = []\nresult.append(result)"));
        assert!(collect_garbage(py) >= 1);
        enable_gc(py);
        assert!(gc_is_enabled(py));
        freeze_gc(py).unwrap();
        let frozen = import(py, "gc").unwrap();
        let frozen = frozen.call_method0(&name(py, "get_freeze_count"), py).unwrap();
        assert!(frozen.cast::<Int>().unwrap().as_i64() > Some(100));
    });
    assert_eq!(ended.unwrap().1, Ended::Clean);
}

#[test]
fn what_an_object_keeps_is_shown_and_compared() {
    attached(|py| {
        let pair = eval(py, "a, b = object(), object()\nresult = [a, b]");
        let kept = pair.referents(py);
        assert_eq!(kept.len(), 2);
        assert_eq!(pair.differing_referents(&kept, py), Differing::None);
        assert_eq!(pair.differing_referents(&kept[..1], py), Differing::More);
        let other = [kept[0].clone(), none(py)];
        assert_eq!(pair.differing_referents(&other, py), Differing::One(1));
        assert!(pair.refers_to(&*kept[1], py));
        let same = pair.cast::<List>().unwrap();
        same.append(&*none(py), py).unwrap();
        assert_eq!(pair.differing_referents(&kept, py), Differing::More);
        assert!(Int::new(py, 1000).unwrap().referents(py).is_empty());
        assert!(!Int::new(py, 1000).unwrap().refers_to(&*kept[0], py));
    });
}

#[test]
fn attributes_of_a_task_are_among_what_it_keeps() {
    attached(|py| {
        let source = "import asyncio\nloop = asyncio.new_event_loop()\n\
                      async def idle(): pass\ncoroutine = idle()\n\
                      result = asyncio.Task(coroutine, loop=loop)";
        let task = eval(py, source);
        let kept = task.referents(py);
        assert_eq!(task.differing_referents(&kept, py), Differing::None);
        task.call_method0(&name(py, "get_name"), py).unwrap();
        let name_of_task = kept.iter().position(|kept| kept.is_a::<Int>()).unwrap();
        // A name that was read is another object.
        assert_eq!(task.differing_referents(&kept, py), Differing::One(name_of_task));
        let kept = task.referents(py);
        task.set_attr(&name(py, "user"), &*none(py), py).unwrap();
        assert_eq!(task.differing_referents(&kept, py), Differing::More);
        let event_loop = task.call_method0(&name(py, "get_loop"), py).unwrap();
        event_loop.call_method1(&name(py, "run_until_complete"), &*task, py).unwrap();
        event_loop.call_method0(&name(py, "close"), py).unwrap();
    });
}

#[test]
fn weak_references_are_seen_until_they_are_gone() {
    attached(|py| {
        let source = "class Thing: pass\nresult = [Thing()]";
        let thing = eval(py, source).cast::<List>().unwrap().get(0, py).unwrap();
        let weakly = import(py, "weakref").unwrap().attr(&name(py, "ref"), py).unwrap();
        let callback = eval(py, "result = print");
        assert!(thing.newest_weak_reference_is(None, py));
        let first = weakly.call2(&*thing, &*callback, py).unwrap();
        assert!(!thing.newest_weak_reference_is(None, py));
        assert!(thing.newest_weak_reference_is(Some(&first), py));
        for with_callback in [true, false] {
            let second = match with_callback {
                true => weakly.call2(&*thing, &*callback, py).unwrap(),
                false => weakly.call1(&*thing, py).unwrap(),
            };
            assert!(!thing.newest_weak_reference_is(Some(&first), py));
            drop(second);
            assert!(thing.newest_weak_reference_is(Some(&first), py));
        }
        drop(first);
        assert!(thing.newest_weak_reference_is(None, py));
        assert!(none(py).newest_weak_reference_is(None, py), "it can have none");
    });
}
