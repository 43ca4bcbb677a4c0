//! Texts that are written over while nobody else has them.

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

#[test]
fn a_slate_is_written_over_in_a_dict_that_alone_has_it() {
    attached(|py| {
        let (slate, other) = (Slate::default(), Slate::default());
        let (key, wrong) = (name(py, "key"), name(py, "wrong"));
        let dict = Dict::new(py).unwrap();
        let write = |key: &Owned<'_, Str>, text| {
            slate.write_over_next(&mut dict.items(py), key, ascii(text))
        };
        assert_eq!(write(&key, "empty"), None);
        dict.set(&*key, &*slate.write(py, ascii("first")).unwrap(), py).unwrap();
        let value = || dict.get(&*key, py).unwrap().unwrap();
        let text = || value().str(py).unwrap().as_ascii().unwrap().to_owned();
        assert!(slate.is_value_of_next(&mut dict.items(py), 3));
        assert!(!slate.is_value_of_next(&mut dict.items(py), 2));
        assert!(!other.is_value_of_next(&mut dict.items(py), 3));
        assert!(dict.items(py).next_is_under(&key));
        assert!(!dict.items(py).next_is_under(&wrong));
        assert_eq!(write(&key, "2nd"), Some(true));
        assert_eq!(text(), "2nd");
        assert_eq!(write(&wrong, "3rd"), None);
        assert_eq!(write(&key, "much longer than there is room for"), Some(false));
        assert_eq!(other.write_over_next(&mut dict.items(py), &key, ascii("3rd")), Some(false));
        let kept = value();
        assert_eq!(write(&key, "3rd"), Some(false));
        drop(kept);
        assert_eq!(text(), "2nd");
        // The dict has another value now, and somebody else the slate's.
        let kept = value();
        dict.set(&*key, &*List::new(py).unwrap(), py).unwrap();
        assert_eq!(write(&key, "3rd"), Some(false));
        assert!(kept.cast::<Str>().unwrap().equals_str("2nd"));
        let mut items = dict.items(py);
        assert!(items.next().is_some());
        assert_eq!(slate.write_over_next(&mut items, &key, ascii("3rd")), None);
    });
}
