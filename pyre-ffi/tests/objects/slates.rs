//! Texts that are written over while nobody else has them.

use std::sync::OnceLock;

use super::*;

fn ascii(text: &str) -> Ascii<'_> {
    Ascii::of(text.as_bytes()).unwrap()
}

#[test]
fn a_slate_is_written_over_while_nobody_has_it() {
    attached(|py| {
        let slate = Slate::default();
        let first = slate.write(py, ascii("first")).unwrap();
        let place = std::ptr::from_ref(first.as_ascii().unwrap()).cast::<u8>();
        let hash = first.hash(py).unwrap();
        drop(first);
        for text in ["other", "x", "seventh", "first"] {
            let written = slate.write(py, ascii(text)).unwrap();
            assert_eq!(written.as_ascii(), Some(text));
            assert_eq!(std::ptr::from_ref(written.as_ascii().unwrap()).cast::<u8>(), place);
            let new = Str::new(py, text).unwrap();
            assert!(written.equals(&new, py).unwrap());
            assert_eq!(written.hash(py).unwrap(), new.hash(py).unwrap());
            assert_eq!(written.hash(py).unwrap() == hash, text == "first");
        }
        // What is kept stays, whether or not there is room for the next text.
        let mut kept = Vec::new();
        for length in (0..300).chain((0..300).rev()) {
            let text = "t".repeat(length);
            let written = slate.write(py, ascii(&text)).unwrap();
            assert_eq!(written.as_ascii(), Some(&*text));
            if length % 3 == 0 {
                kept.push((written, text));
            }
        }
        for (written, text) in &kept {
            assert_eq!(written.as_ascii(), Some(&**text));
        }
    });
}

#[test]
fn a_slate_that_became_a_name_is_not_written_over() {
    attached(|py| {
        let slate = Slate::default();
        let names = Dict::new(py).unwrap();
        names.set(&*name(py, "text"), &*slate.write(py, ascii("never seen")).unwrap(), py).unwrap();
        run_source(py, "import sys\nsys.intern(text)\ndel text", &names).unwrap();
        slate.write(py, ascii("other")).unwrap();
        run_source(py, "result = sys.intern('never ' + 'se' + chr(101) + 'n')", &names).unwrap();
        let result = names.get(&*name(py, "result"), py).unwrap().unwrap();
        assert_eq!(result.cast::<Str>().unwrap().as_ascii(), Some("never seen"));
    });
}

const NAMES: &str = "abcdefgh";

/// Texts under the names "a", "b" and so on; an empty text stands for a list.
struct Texts<'py, 'a> {
    shape: usize,
    names: Vec<Owned<'py, Str>>,
    texts: &'a [&'a str],
}

impl Entries for Texts<'_, '_> {
    fn count(&self) -> usize {
        self.texts.len()
    }

    fn shape(&self) -> usize {
        self.shape
    }

    fn may_retire(&self) -> bool {
        true
    }

    fn name<'a>(&'a self, index: usize, _py: Attached<'a>) -> Borrowed<'a, Str> {
        self.names[index].borrow()
    }

    fn text(&self, index: usize) -> Option<Ascii<'_>> {
        let text = self.texts[index];
        (!text.is_empty()).then(|| ascii(text))
    }

    fn other<'py>(&self, _index: usize, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        List::new(py).map(Owned::into_any)
    }
}

/// Fills the dict, and looks at what is in it.
fn fill<'py, const N: usize>(
    py: Attached<'py>,
    place: &SlateDict<N>,
    shape: usize,
    texts: &[&str],
) -> Owned<'py, Dict> {
    let names = (0..texts.len()).map(|index| name(py, &NAMES[index..=index])).collect();
    let (dict, _) = place.fill(py, &Texts { shape, names, texts }).unwrap();
    let expected = texts.iter().enumerate().map(|(index, text)| {
        let text = if text.is_empty() { "[]".to_owned() } else { format!("'{text}'") };
        format!("'{}': {text}", &NAMES[index..=index])
    });
    let expected = format!("{{{}}}", expected.collect::<Vec<_>>().join(", "));
    assert_eq!(dict.repr(py).unwrap().as_ascii(), Some(&*expected));
    dict
}

/// `id(object)`
fn id<'py, T>(py: Attached<'py>, object: &Object<T>) -> Option<i64> {
    let id = import(py, "builtins").unwrap().attr(&name(py, "id"), py).unwrap();
    id.call1(object, py).unwrap().cast::<Int>().unwrap().as_i64()
}

fn place_for<const N: usize>(py: Attached<'_>) -> SlateDict<N> {
    /// Of the interpreter in which `attached` runs; there is room for few.
    static WATCHER: OnceLock<DictWatcher> = OnceLock::new();
    let add = || DictWatcher::new(py).unwrap().expect("there is room for one");
    SlateDict::new(Some(*WATCHER.get_or_init(add)))
}

#[test]
fn a_dict_is_filled_again_while_nobody_has_it() {
    attached(|py| {
        let place = place_for::<2>(py);
        let key = name(py, "a");
        let first = fill(py, &place, 1, &["one", "two"]);
        let address = id(py, &first);
        drop(first);
        // Other objects, texts that are too long for their slates or for any, more of them than
        // slates: each has its value, and the dict is the same.
        let long = "long".repeat(100);
        for texts in [["x", "y"], ["", "y"], ["x", ""], [&*long, "y"], ["longer", &*long]] {
            place.retire(py);
            let dict = fill(py, &place, 1, &texts);
            assert_eq!(id(py, &dict), address, "{texts:?}");
        }
        place.retire(py);
        let first_text = |texts: [&str; 2]| {
            let text = fill(py, &place, 1, &texts).get(&*key, py).unwrap().unwrap();
            place.retire(py);
            id(py, &text)
        };
        assert_eq!(first_text(["x", "y"]), first_text(["z", "y"]));
        // With other names, and then with more than there are slates.
        fill(py, &place, 2, &["1"]);
        fill(py, &place, 3, &["1", "2", "3", "4"]);
        place.retire(py);
        fill(py, &place, 3, &["5", "6", "7", "8"]);
        // Without a watcher it is a new one each time, and nothing is kept in between.
        let place = SlateDict::<2>::new(None);
        drop(fill(py, &place, 1, &["one", "two"]));
        place.retire(py);
        assert!(place.get(py).is_none());
    });
}

#[test]
fn what_somebody_has_of_a_dict_stays_as_it_is() {
    attached(|py| {
        let place = place_for::<2>(py);
        let key = name(py, "a");
        // A text.
        let text = fill(py, &place, 1, &["kept", "x"]).get(&*key, py).unwrap().unwrap();
        place.retire(py);
        fill(py, &place, 1, &["next", "x"]);
        assert!(text.cast::<Str>().unwrap().equals_str("kept"));
        // A text whose place in the dict something else has taken meanwhile.
        place.retire(py);
        let text = fill(py, &place, 1, &["kept", "x"]).get(&*key, py).unwrap().unwrap();
        for texts in [["", "x"], ["next", "x"], ["", "x"], ["last", "x"]] {
            place.retire(py);
            fill(py, &place, 1, &texts);
        }
        assert!(text.cast::<Str>().unwrap().equals_str("kept"));
        // The dict.
        let dict = fill(py, &place, 1, &["kept", "x"]);
        place.retire(py);
        assert!(place.get(py).is_none());
        fill(py, &place, 1, &["next", "x"]);
        assert_eq!(dict.repr(py).unwrap().as_ascii(), Some("{'a': 'kept', 'b': 'x'}"));
        // A dict that was in no other hands when it was retired, but is now.
        place.retire(py);
        let dict = place.get(py).unwrap();
        fill(py, &place, 1, &["next", "y"]);
        assert_eq!(dict.repr(py).unwrap().as_ascii(), Some("{'a': 'next', 'b': 'x'}"));
    });
}

#[test]
fn a_dict_that_was_changed_is_not_filled_again() {
    let changes = [
        "d['a'] = 1",
        "d['new'] = 1",
        "del d['a']",
        "d.pop('a')",
        "d.popitem()",
        "d.setdefault('new')",
        "d.update(a=1)",
        "d.update([('new', 1)])",
        "d.update({'b': 2})",
        "d |= {'a': 1}",
        "d.clear()",
        "d.__init__(new=1)",
        "dict.__setitem__(d, 'a', 1)",
        "dict.__delitem__(d, 'a')",
        "exec('a = 1', d)",
        "exec('del a', d)",
        "exec('global a; a = 1', {}, d) or exec('new = 1', {}, d)",
        "class Kept: pass\nkept = Kept()\nkept.__dict__ = d\nkept.a = 1\ndel kept",
        "class Kept: pass\nkept = Kept()\nkept.__dict__ = d\nfor _ in range(100): kept.a = _\ndel kept",
        "class Kept: pass\nkept = Kept()\nkept.__dict__ = d\ndel kept.a\ndel kept",
        "class Kept: pass\nkept = Kept()\nkept.__dict__ = d\nkept.new = 1\ndel kept",
        "import collections\ncollections.ChainMap(d)['a'] = 1",
        "import operator\noperator.setitem(d, 'a', 1)",
        "import types\nfor _ in range(100): d['a'] = _",
    ];
    let looks = [
        "d['a'], d.get('b'), 'a' in d, len(d), list(d), sorted(d.items()), repr(d), dict(d)",
        "{**d}, d | {}, d == {}, d.copy(), d.keys() & d.keys(), hash(d['a'])",
        "import copy, json\ncopy.deepcopy(d), json.dumps(d), f'{d}'",
        "def look(**d): return d\nlook(**d), d.get('new'), d.pop('new', None), d.setdefault('a')",
    ];
    attached(|py| {
        let place = place_for::<2>(py);
        let names = Dict::new(py).unwrap();
        let after = |source: &str| {
            names.set(&*name(py, "d"), &*fill(py, &place, 1, &["one", "two"]), py).unwrap();
            run_source(py, &format!("{source}\ndel d"), &names).unwrap();
            place.retire(py);
            place.get(py)
        };
        for source in changes {
            assert!(after(source).is_none(), "{source}");
        }
        for source in looks {
            assert!(after(source).is_some(), "{source}");
        }
    });
}

#[test]
fn a_dict_that_was_changed_after_it_was_retired_is_left_alone() {
    attached(|py| {
        let place = place_for::<2>(py);
        let key = name(py, "a");
        fill(py, &place, 1, &["one", "two"]);
        place.retire(py);
        let dict = place.get(py).unwrap();
        let kept = dict.get(&*key, py).unwrap().unwrap();
        dict.set(&*key, &*List::new(py).unwrap(), py).unwrap();
        drop(dict);
        fill(py, &place, 1, &["next", "two"]);
        assert!(kept.cast::<Str>().unwrap().equals_str("one"));
    });
}

#[test]
fn an_interpreter_has_room_for_some_watchers() {
    let count =
        |py: Attached<'_>| (0..100).take_while(|_| DictWatcher::new(py).unwrap().is_some()).count();
    embed();
    let (found, _) = run_isolated(IsolatedConfig::default(), |py, _| count(py)).unwrap();
    assert!((1..=8).contains(&found), "{found}");
}

#[test]
fn a_watcher_that_somebody_else_has_cleared_watches_nothing() {
    embed();
    let (found, _) = run_isolated(IsolatedConfig::default(), |py, _| {
        let place = SlateDict::<2>::new(DictWatcher::new(py).unwrap());
        let source = "import ctypes\nfor number in range(2, 8):\n try: \
                      ctypes.pythonapi.PyDict_ClearWatcher(number)\n except ValueError: pass";
        run_source(py, source, &Dict::new(py).unwrap()).unwrap();
        for texts in [["a", "b"], ["c", "d"], ["", "e"]] {
            drop(fill(py, &place, 1, &texts));
            place.retire(py);
        }
        place.get(py).is_none()
    })
    .unwrap();
    assert!(found);
}
