//! Bytes to objects.

use super::texts::TEXTS;
use super::*;

#[test]
fn agrees_with_the_standard_library_on_the_table() {
    with_python(|python| {
        for text in TEXTS {
            python.check_decoding(text.as_bytes()).unwrap();
            for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
                python.check_decoding(&text.as_bytes()[..end]).unwrap();
            }
            python.check_decoding(format!("[{text}, {{\"{text}\": 1}}").as_bytes()).unwrap();
        }
    });
}

#[test]
fn strings_of_every_length_with_every_end() {
    with_python(|python| {
        for length in 0..150 {
            let plain = "x".repeat(length);
            for end in ["\"", "é\"", "\\n\"", "\n\"", "\\ud800\"", "", "\\", "\\u12"] {
                python.check_decoding(format!("\"{plain}{end}").as_bytes()).unwrap();
                python.check_decoding(format!("{{\"{plain}{end}:1}}").as_bytes()).unwrap();
                python.check_decoding(format!("[\"é{plain}{end}, 7]").as_bytes()).unwrap();
            }
        }
    });
}

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        "-?[1-9][0-9]{15,40}",
        any::<f64>()
            .prop_filter("finite", |value| value.is_finite())
            .prop_map(|value| format!("{value:?}")),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        "\"([a-z ]|[é€😀]|\\\\[nrtbf/\"\\\\]|\\\\u[0-9a-fA-F]{4}|\\\\ud[89ab][0-9a-f]{2}){0,40}\"",
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec(("\"[a-cé\\\\n]{0,3}\"", inner), 0..8).prop_map(|items| {
                let items: Vec<_> =
                    items.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
                format!("{{{}}}", items.join(","))
            }),
        ]
    })
}

#[test]
fn agrees_with_the_standard_library_on_random_texts_and_broken_ones() {
    with_python(|python| {
        let config =
            ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() };
        let text_and_damage = (
            json_text(),
            any::<prop::sample::Index>(),
            "[\\[\\]{},:\"\\\\ 0-9eEu.n-]{0,2}",
            0..3_usize,
        );
        proptest!(config, |((text, place, insert, cut) in text_and_damage)| {
            python.check_decoding(text.as_bytes())?;
            let mut at = place.index(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            let after: String = text[at..].chars().skip(cut).collect();
            python.check_decoding(format!("{}{insert}{after}", &text[..at]).as_bytes())?;
        });
    });
}

#[test]
fn random_bytes_do_no_harm() {
    with_python(|python| {
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
        proptest!(config, |(bytes: Vec<u8>, quoted: bool)| {
            let text = if quoted { [b"\"", &bytes[..], b"\""].concat() } else { bytes };
            let _ = python.decode(&text);
        });
    });
}

#[track_caller]
fn check_refused(python: &Fixture<'_>, text: &[u8], expected: &str) {
    assert_eq!(python.decode(text).unwrap_err(), expected);
}

#[test]
fn refuses_what_rfc_8259_does_not_know() {
    with_python(|python| {
        for text in ["NaN", "Infinity", "-Infinity"] {
            check_refused(python, text.as_bytes(), "Expecting value: line 1 column 1 (char 0)");
        }
        check_refused(python, b"[1e999]", "Number out of range: line 1 column 2 (char 1)");
        check_refused(python, b"\"\xff\"", "Invalid UTF-8: line 1 column 2 (char 1)");
        check_refused(python, b"[\"a\xc3\"]", "Invalid UTF-8: line 1 column 4 (char 3)");
        check_refused(python, b"\"\xed\xa0\x80\"", "Invalid UTF-8: line 1 column 2 (char 1)");
        check_refused(python, b"\"\\n\xc0\x80\"", "Invalid UTF-8: line 1 column 4 (char 3)");
        check_refused(python, b"\xff", "Expecting value: line 1 column 1 (char 0)");
        check_refused(python, b"1\xff", "Extra data: line 1 column 2 (char 1)");
        check_refused(python, b"[\0]", "Expecting value: line 1 column 2 (char 1)");
        check_refused(python, b"1\0", "Extra data: line 1 column 2 (char 1)");
        // UTF-16, which `json.loads` guesses from the zeros.
        check_refused(python, b"1\0 \0", "Extra data: line 1 column 2 (char 1)");
    });
}

#[test]
fn byte_order_mark_is_skipped_once() {
    with_python(|python| {
        python.check_decoding(b"\xef\xbb\xbf[1]").unwrap();
        python.check_decoding(b"\xef\xbb\xbf[1,]").unwrap();
        python.check_decoding(b"\xef\xbb\xbf").unwrap();
        python.check_decoding(b"\xef\xbb\xbf\xef\xbb\xbf1").unwrap();
    });
}

#[test]
fn nesting_has_a_bound() {
    with_python(|python| {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        python.check_decoding(nested(DEPTH_MAX).as_bytes()).unwrap();
        let place = format!("line 1 column {} (char {DEPTH_MAX})", DEPTH_MAX + 1);
        let message = format!("Nested deeper than 256 levels: {place}");
        check_refused(python, nested(DEPTH_MAX + 1).as_bytes(), &message);
        time_limit(5, || check_refused(python, "[".repeat(100_000).as_bytes(), &message));
        time_limit(5, || check_refused(python, nested(100_000).as_bytes(), &message));
        time_limit(5, || {
            let message = python.decode("{\"a\":".repeat(100_000).as_bytes()).unwrap_err();
            assert!(message.starts_with("Nested deeper than 256 levels: "), "{message}");
        });
        // Siblings do not add up.
        python.check_decoding(format!("[{}]", vec!["[[]]"; 1000].join(",")).as_bytes()).unwrap();
    });
}

#[test]
fn integers_have_a_bound() {
    with_python(|python| {
        python.check_decoding("7".repeat(4300).as_bytes()).unwrap();
        python.check_decoding(format!("-{}", "7".repeat(4300)).as_bytes()).unwrap();
        time_limit(5, || {
            let message = "Integer of more than 4300 digits: line 1 column 1 (char 0)";
            check_refused(python, "7".repeat(4301).as_bytes(), message);
            check_refused(python, "7".repeat(10_000_000).as_bytes(), message);
            python.check_decoding(format!("0.{}", "1".repeat(100_000)).as_bytes()).unwrap();
        });
        python.run("sys.set_int_max_str_digits(1000)");
        let message = python.decode("7".repeat(1001).as_bytes()).unwrap_err();
        python.run("sys.set_int_max_str_digits(4300)");
        assert!(message.starts_with("ValueError: Exceeds the limit (1000 digits)"), "{message}");
    });
}

#[test]
fn megabytes_of_escapes_take_little_time() {
    with_python(|python| {
        let megabytes = [("\\n", 50), ("\\u0041", 2), ("\\ud83d\\ude00", 2), ("\\ud800", 2)];
        for (escape, megabytes) in megabytes {
            let count = megabytes * 1_000_000 / escape.len();
            let text = format!("\"{}\"", escape.repeat(count));
            time_limit(30, || {
                let value = python.decode(text.as_bytes()).unwrap();
                assert_eq!(value.cast::<Str>().unwrap().len(), count);
            });
            let unended = format!("\"{}", escape.repeat(count / 10) + "x");
            let message = "Unterminated string starting at: line 1 column 1 (char 0)";
            time_limit(30, || check_refused(python, unended.as_bytes(), message));
        }
    });
}

#[test]
fn names_are_shared_between_texts() {
    with_python(|python| {
        let mut keys = KeyCache::new();
        let text = br#"[{"id": 1, "a rather long name beyond the cache": 2}, {"id": 3}]"#;
        let first = python.decode_with(text, &mut keys).unwrap();
        let second = python.decode_with(text, &mut keys).unwrap();
        python.set("first", &first);
        python.set("second", &second);
        assert!(python.truth("first == second"));
        assert!(python.truth("next(iter(first[0])) is next(iter(second[1])) is sys.intern('id')"));
    });
}

#[test]
fn a_flood_of_names_is_forgotten() {
    with_python(|python| {
        let mut keys = KeyCache::new();
        let blocks = |python: &Fixture<'_>| {
            let blocks = python.eval("sys.getallocatedblocks()");
            blocks.cast::<Int>().unwrap().as_i64().unwrap()
        };
        let flood = |python: &Fixture<'_>, keys: &mut KeyCache, from: usize| {
            for number in from..from + 20_000 {
                let text = format!("{{\"name{number}\": [{number}.5, \"text\", {{}}]}}");
                python.decode_with(text.as_bytes(), keys).unwrap();
            }
        };
        flood(python, &mut keys, 0);
        let before = blocks(python);
        flood(python, &mut keys, 20_000);
        let after = blocks(python);
        assert!(after < before + 2000, "{before} blocks, then {after}");
    });
}

#[test]
fn failures_leave_no_references_behind() {
    with_python(|python| {
        let mut keys = KeyCache::new();
        let text = br#"{"a": [1.5, "text", {"b": "\u00e9", "c": [2.5]}], "d": "x" "#;
        let mut blocks = Vec::new();
        for round in 0..3 {
            for end in 0..text.len() {
                for _ in 0..20 {
                    python.decode_with(&text[..end], &mut keys).unwrap_err();
                }
            }
            let count = python.eval("sys.getallocatedblocks()");
            blocks.push((round, count.cast::<Int>().unwrap().as_i64().unwrap()));
        }
        assert!(blocks[2].1 < blocks[1].1 + 100, "{blocks:?}");
    });
}
