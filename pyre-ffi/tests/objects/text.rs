//! Text and bytes: any width, any length, and what is neither.

use super::*;

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
