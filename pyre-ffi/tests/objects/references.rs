//! References: counted, lent, weak; what an object keeps, and when it is collected.

use super::*;

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
