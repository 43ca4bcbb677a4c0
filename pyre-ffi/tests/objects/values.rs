//! Numbers and collections, and which kind an object is of.

use super::*;

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
