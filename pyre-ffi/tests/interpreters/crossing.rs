//! What must not cross from one interpreter to another.

use super::*;

#[test]
fn they_share_no_objects_and_no_modules() {
    isolated(|py, _| run(py, "import sys; sys.pyre_mark = 1").len());
    isolated(|py, _| {
        let globals = run(py, "import sys; seen = int(hasattr(sys, 'pyre_mark'))");
        assert_eq!(global_i64(&globals, "seen", py), 0);
    });
}

#[test]
fn what_is_held_is_refused_elsewhere_and_leaks() {
    isolated(|py, _| {
        let object = run(py, "x = object()");
        let object = global(&object, "x", py);
        let before = object.reference_count();
        let (held, slot) = (Held::new(py, object.clone()), Slot::new(py, object.clone()));
        assert_eq!(object.reference_count(), before + 2);
        let (held, slot) = py.detach(|| {
            embed()
                .enter(|py| {
                    assert!(catch_unwind(AssertUnwindSafe(|| held.bind(py).is_none())).is_err());
                    assert!(catch_unwind(AssertUnwindSafe(|| slot.get(py).is_some())).is_err());
                    assert!(catch_unwind(AssertUnwindSafe(|| slot.take(py).is_some())).is_err());
                    let other = pyre_ffi::none(py);
                    assert!(catch_unwind(AssertUnwindSafe(|| slot.set(py, other))).is_err());
                    (held, slot)
                })
                .unwrap()
        });
        assert!(held.bind(py).is(&object) && slot.get(py).unwrap().is(&object));
        // Dropped where they may not be touched: on a thread that is attached to nothing, and in
        // another interpreter.
        py.detach(|| {
            drop(held);
            embed().enter(|_| drop(slot)).unwrap();
        });
        assert_eq!(object.reference_count(), before + 2);
        // Dropped at home they are given back.
        drop((Held::new(py, object.clone()), Slot::new(py, object.clone())));
        assert_eq!(object.reference_count(), before + 2);
        assert!(Held::new(py, object.clone()).release(py).is(&object));
        assert_eq!(object.reference_count(), before + 2);
    });
}

#[test]
fn a_guarded_value_is_used_at_home_and_once_at_a_time() {
    isolated(|py, handle| {
        let guarded = Arc::new(Guarded::new(py, vec![1]));
        let again = catch_unwind(AssertUnwindSafe(|| {
            guarded.with(py, |_| guarded.with(py, |_| ()));
        }));
        assert!(again.is_err());
        // The panic marked it free again.
        guarded.with(py, |values| values.push(2));
        // A thread that comes in while the first is detached inside finds it in use.
        let (handle, other) = (handle.clone(), Arc::clone(&guarded));
        let met = guarded.with(py, |_| {
            py.detach(|| {
                let lane = thread::spawn(move || {
                    handle.enter(|py| {
                        catch_unwind(AssertUnwindSafe(|| other.with(py, |_| ()))).is_err()
                    })
                });
                lane.join().unwrap()
            })
        });
        assert_eq!(met, Ok(true));
        let elsewhere = py.detach(|| {
            embed().enter(|py| catch_unwind(AssertUnwindSafe(|| guarded.with(py, |_| ()))).is_err())
        });
        assert_eq!(elsewhere, Ok(true));
        assert_eq!(Arc::into_inner(guarded).unwrap().into_inner(), [1, 2]);
    });
}
