use proptest::prelude::*;

use super::fault::Fault;
use super::head::PartHead;
use super::parser::{Event, Limits, Parser};

const LIMITS: Limits = Limits { parts_max: 20, head_bytes_max: 400, name_bytes_max: 60 };

type Parts = Vec<(PartHead, Vec<u8>)>;

/// What comes of a form that is pushed in these pieces.
fn read<'a>(
    boundary: &str,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: Limits,
) -> (Parts, Result<(), Fault>) {
    let mut parser = Parser::new(boundary.as_bytes(), limits).unwrap();
    let (mut parts, mut is_open, mut is_over) = (Parts::new(), false, false);
    let mut bytes = Vec::new();
    for piece in pieces {
        bytes.extend_from_slice(piece);
        loop {
            let (taken, event) = match parser.next(&bytes) {
                Ok(found) => found,
                Err(fault) => return (parts, Err(fault)),
            };
            let is_nothing = event.is_none();
            match event {
                Some(Event::Begin(head)) => {
                    assert!(!is_open && !is_over);
                    is_open = true;
                    parts.push((head, vec![]));
                }
                Some(Event::Data(data)) => {
                    assert!(is_open && !data.is_empty());
                    parts.last_mut().unwrap().1.extend_from_slice(data);
                }
                Some(Event::PartEnd) => {
                    assert!(is_open);
                    is_open = false;
                }
                Some(Event::End) => {
                    assert!(!is_open && !is_over);
                    is_over = true;
                }
                None => {}
            }
            bytes.drain(..taken);
            if is_nothing {
                break;
            }
        }
        assert!(bytes.len() <= limits.head_bytes_max.max(80), "{} bytes are kept", bytes.len());
    }
    (parts, parser.finish(&bytes))
}

/// Reads a form whole, byte by byte and cut at each offset: always the same comes of it.
fn read_in_all_ways(boundary: &str, form: &[u8]) -> (Parts, Result<(), Fault>) {
    let whole = read(boundary, [form], LIMITS);
    let mut pieces = vec![form.chunks(1).collect::<Vec<_>>()];
    pieces.extend((0..form.len()).map(|at| vec![&form[..at], &form[at..]]));
    for pieces in pieces {
        let cut = read(boundary, pieces, LIMITS);
        assert_eq!(cut.1, whole.1, "{:?}", String::from_utf8_lossy(form));
        assert_eq!(cut.0, whole.0, "{:?}", String::from_utf8_lossy(form));
    }
    whole
}

/// Name, name of the file, data.
type Seen<'a> = (&'a str, Option<&'a str>, &'a str);

fn check(form: &str, expected: Result<&[Seen<'_>], Fault>) {
    let (parts, ended) = read_in_all_ways("XX", form.as_bytes());
    match expected {
        Ok(expected) => {
            assert_eq!(ended, Ok(()), "{form:?}");
            let found: Vec<_> = parts
                .iter()
                .map(|(head, data)| {
                    (&*head.name, head.filename.as_deref(), std::str::from_utf8(data).unwrap())
                })
                .collect();
            assert_eq!(found, expected, "{form:?}");
        }
        Err(fault) => assert_eq!(ended, Err(fault), "{form:?}"),
    }
}

/// A form with one part of this head.
fn check_head(head: &str, expected: Result<(&str, Option<&str>, Option<&str>), Fault>) {
    let form = format!("--XX\r\n{head}\r\n\r\nv\r\n--XX--\r\n");
    let (parts, ended) = read_in_all_ways("XX", form.as_bytes());
    match expected {
        Ok((name, filename, content_type)) => {
            assert_eq!(ended, Ok(()), "{head:?}");
            let [(found, data)] = &parts[..] else { panic!("{head:?}") };
            assert_eq!((&*found.name, found.filename.as_deref()), (name, filename), "{head:?}");
            assert_eq!(found.content_type.as_deref(), content_type, "{head:?}");
            assert_eq!(data, b"v");
        }
        Err(fault) => assert_eq!(ended, Err(fault), "{head:?}"),
    }
}

const A: &str = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";

#[test]
fn parts_of_forms() {
    check("--XX--", Ok(&[]));
    check("--XX--\r\n", Ok(&[]));
    check(&format!("{A}1\r\n--XX--\r\n"), Ok(&[("a", None, "1")]));
    check(&format!("{A}1\r\n{A}2\r\n--XX--"), Ok(&[("a", None, "1"), ("a", None, "2")]));
    check(&format!("{A}\r\n--XX--"), Ok(&[("a", None, "")]));
    // A part without a body, as RFC 2046 has it.
    check(&format!("{A}--XX--"), Ok(&[("a", None, "")]));
    check(&format!("{A}\r\n\r\n--XX--"), Ok(&[("a", None, "\r\n")]));
    check(
        &format!("{A}--X\r\n-XX\n--XX\r--XX\r\n--XX--"),
        Ok(&[("a", None, "--X\r\n-XX\n--XX\r--XX")]),
    );
    check(&format!("{A}\r\r\n--X\r\r\n\r\n--XX--"), Ok(&[("a", None, "\r\r\n--X\r\r\n")]));
}

#[test]
fn around_boundaries() {
    check(&format!("preamble\r\n{A}1\r\n--XX--\r\nepilogue\r\n{A}"), Ok(&[("a", None, "1")]));
    check(&format!("\r\n{A}1\r\n--XX--"), Ok(&[("a", None, "1")]));
    check(
        &A.replace("XX\r", "XX \t\r").replace("\r\n\r\n", "\r\n\r\n1\r\n--XX-- \t\r\n"),
        Ok(&[("a", None, "1")]),
    );
    check(&format!("{A}1\r\n--XX--  "), Ok(&[("a", None, "1")]));
    check("", Err(Fault::Unfinished));
    check("--XX", Err(Fault::Unfinished));
    check("--XX-", Err(Fault::Unfinished));
    check("preamble --XX--", Err(Fault::Unfinished));
    check(A, Err(Fault::Unfinished));
    check(&format!("{A}1"), Err(Fault::Unfinished));
    check(&format!("{A}1\r\n--XX\r\n"), Err(Fault::Unfinished));
    check(&format!("{A}1\r\n--XX--\r"), Err(Fault::BoundaryLine));
    check(&format!("{A}1\r\n--XX--x"), Err(Fault::BoundaryLine));
    check(&format!("{A}1\r\n--XX -- "), Err(Fault::BoundaryLine));
    check(&format!("{A}1\r\n--XXY\r\n2\r\n--XX--"), Err(Fault::BoundaryLine));
    // Lines that end with LF alone.
    check(&format!("{A}1\r\n--XX--\r\n").replace('\r', ""), Err(Fault::BoundaryLine));
    check(&format!("{A}1\n--XX--\n"), Err(Fault::Unfinished));
}

#[test]
fn names() {
    let named = |parameters: &str| format!("Content-Disposition: form-data; {parameters}");
    let check_name = |parameters: &str, expected: (&str, Option<&str>)| {
        check_head(&named(parameters), Ok((expected.0, expected.1, None)));
    };
    check_name("name=\"\"", ("", None));
    check_name("name=a", ("a", None));
    check_name("name=\"a b\"; filename=\"\"", ("a b", Some("")));
    check_name("filename=\"x.txt\"; name=\"a\"", ("a", Some("x.txt")));
    check_name("name=\"%22%0D%0A%0d%0a\"", ("\"\r\n\r\n", None));
    check_name("name=\"%41%20%2\"", ("%41%20%2", None));
    check_name(r#"name="a\"b\\c\d""#, (r#"a"b\c\d"#, None));
    check_name(r#"name="a"; filename="C:\new\file.txt""#, ("a", Some(r"C:\new\file.txt")));
    check_name(r#"name="a"; filename="folder\""#, ("a", Some("folder\\")));
    check_name("name=\"\u{fc}\u{1f600}\"; filename=\u{fc}", ("\u{fc}\u{1f600}", Some("\u{fc}")));
    check_name(
        "name=a; filename=\"x\"; filename*=utf-8''%e2%82%ac.txt",
        ("a", Some("\u{20ac}.txt")),
    );
    check_name("name=a; filename*=ISO-8859-1'en'%A3; filename=x", ("a", Some("\u{a3}")));
    check_name("name*=UTF-8''%C3%BC", ("\u{fc}", None));
    for (parameters, fault) in [
        ("filename=x", Fault::NoName),
        ("name=a; name=b", Fault::Repeated),
        ("name=a; name*=utf-8''b", Fault::Repeated),
        ("name*=utf-8''a; name=a", Fault::Repeated),
        ("name=a; filename=x; filename=y", Fault::Repeated),
        ("name=a b", Fault::Disposition),
        ("name=a,b", Fault::Disposition),
        ("name=\"a", Fault::Disposition),
        ("name=\"a\"b", Fault::Disposition),
        ("name", Fault::Disposition),
        ("name*=\"utf-8''a\"", Fault::ExtendedName),
        ("name*=utf-8'a", Fault::ExtendedName),
        ("name*=utf-7''a", Fault::ExtendedName),
        ("name*=utf-8''%4", Fault::ExtendedName),
        ("name*=utf-8''a*b", Fault::ExtendedName),
        ("name*=utf-8''%00", Fault::ExtendedName),
        ("name*=utf-8''%ff", Fault::NameText),
        (&*format!("name={}", "a".repeat(61)), Fault::NameBytes),
        (&*format!("name=a; filename={}", "a".repeat(61)), Fault::NameBytes),
    ] {
        check_head(&named(parameters), Err(fault));
    }
    let latin1 = b"--XX\r\nContent-Disposition: form-data; name=\"\xfc\"\r\n\r\n1\r\n--XX--";
    assert_eq!(read_in_all_ways("XX", latin1).1, Err(Fault::NameText));
}

#[test]
fn heads() {
    let with = |line: &str| format!("Content-Disposition: form-data; name=\"a\"\r\n{line}");
    check_head(&with("Content-Type: text/plain"), Ok(("a", None, Some("text/plain"))));
    check_head(
        &with("content-TYPE:text/plain;charset=UTF-8"),
        Ok(("a", None, Some("text/plain;charset=UTF-8"))),
    );
    check_head(
        &with("Content-Type: x; charset=\"us-ascii\""),
        Ok(("a", None, Some("x; charset=\"us-ascii\""))),
    );
    check_head(
        &with("X-Other: \u{e9}\r\nContent-Transfer-Encoding: Binary"),
        Ok(("a", None, None)),
    );
    check_head("CONTENT-DISPOSITION:\r\n form-data;\r\n\tname=\"a\"", Ok(("a", None, None)));
    check_head("Content-Disposition: FORM-DATA; other=x; NAME=a", Ok(("a", None, None)));
    for (head, fault) in [
        (&*with("Content-Type: text/plain; charset=latin1"), Fault::Charset),
        (&*with("Content-Transfer-Encoding: base64"), Fault::Encoding),
        (&*with("Content-Disposition: form-data; name=b"), Fault::NoDisposition),
        (&*with("Content-Type: a/b\r\nContent-Type: a/b"), Fault::Repeated),
        (&*with("no header"), Fault::HeadLine),
        (&*with("space : x"), Fault::HeadLine),
        (&*with("X: a\nY: b"), Fault::HeadLine),
        (&*with("X: \0"), Fault::HeadLine),
        (&*format!(" {}", with("X: y")), Fault::HeadLine),
        ("X: y", Fault::NoDisposition),
        ("\r\nX: y", Fault::NoDisposition),
        ("Content-Disposition: attachment; name=a", Fault::Disposition),
        ("Content-Disposition: form-data", Fault::NoName),
        (&*with(&format!("X: {}", "y".repeat(400))), Fault::HeadBytes),
    ] {
        check_head(head, Err(fault));
    }
    // Of a file the charset is its own business.
    let file = "Content-Disposition: form-data; name=a; filename=b\r\nContent-Type: text/plain; charset=latin1";
    check_head(file, Ok(("a", Some("b"), Some("text/plain; charset=latin1"))));
}

#[test]
fn a_head_may_be_as_large_as_it_may_be_and_no_larger() {
    let head = "Content-Disposition: form-data; name=\"a\"\r\nX: ";
    let room = LIMITS.head_bytes_max - head.len() - 4;
    check_head(&format!("{head}{}", "y".repeat(room)), Ok(("a", None, None)));
    check_head(&format!("{head}{}", "y".repeat(room + 1)), Err(Fault::HeadBytes));
}

#[test]
fn parts_are_counted() {
    let form = format!("{}--XX--", format!("{A}1\r\n").repeat(20));
    assert_eq!(read("XX", [form.as_bytes()], LIMITS).1, Ok(()));
    let form = format!("{}--XX--", format!("{A}1\r\n").repeat(21));
    assert_eq!(read("XX", [form.as_bytes()], LIMITS).1, Err(Fault::Parts));
}

#[test]
fn what_is_no_boundary_is_refused() {
    assert!(matches!(Parser::new(b"", LIMITS), Err(Fault::Boundary)));
    assert!(matches!(Parser::new(b"a\r\n", LIMITS), Err(Fault::Boundary)));
}

/// Data that is made of what delimiters are made of.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"--".to_vec()),
        Just(b"-".to_vec()),
        Just(b"X".to_vec()),
        Just(b"\r\n--X".to_vec()),
        prop::collection::vec(any::<u8>(), 1..5),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// What forms are made of, and what they must not have.
const PIECES: &[&str] = &[
    "--XX",
    "\r\n",
    "--",
    "\r\n--XX",
    " ",
    ";",
    "Content-Disposition: form-data; name=",
    "\"a\"",
    "\r\n\r\n",
    "filename=\"",
    "\"",
    "\n",
    "\u{ff}",
    "x",
];

proptest! {
    #[test]
    fn what_is_written_is_read_however_it_is_cut(
        parts in prop::collection::vec(("[^\0-\x1f\x7f\"\\\\%]{0,9}", data()), 0..5),
        cut in 1_usize..90,
    ) {
        // No data has this boundary, as none has both of its first letters.
        let boundary = "XYZ";
        let mut form = Vec::new();
        for (name, data) in &parts {
            form.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").bytes());
            form.extend_from_slice(data);
            form.extend(b"\r\n");
        }
        form.extend(format!("--{boundary}--\r\n").bytes());
        prop_assume!(parts.iter().all(|(_, data)| memchr::memmem::find(data, b"XYZ").is_none()));
        let expected: Vec<_> = parts.iter().map(|(name, data)| (&**name, &**data)).collect();
        for pieces in [form.chunks(form.len()), form.chunks(cut), form.chunks(1)] {
            let (found, ended) = read(boundary, pieces, LIMITS);
            prop_assert_eq!(ended, Ok(()));
            let found: Vec<_> = found.iter().map(|(head, data)| (&*head.name, &**data)).collect();
            prop_assert_eq!(&found, &expected);
        }
    }

    #[test]
    fn whatever_comes_the_cuts_do_not_matter(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24),
        cut in 1_usize..20,
    ) {
        let form = pieces.concat().into_bytes();
        let whole = read("XX", [&form[..]], LIMITS);
        prop_assert_eq!(&read("XX", form.chunks(cut), LIMITS), &whole);
        prop_assert_eq!(&read("XX", form.chunks(1), LIMITS), &whole);
    }

    #[test]
    fn a_form_that_is_malformed_stays_so(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 1..24),
        more in prop::collection::vec(prop::sample::select(PIECES), 0..24),
        cut in 1_usize..20,
    ) {
        let (form, more) = (pieces.concat().into_bytes(), more.concat().into_bytes());
        let mut parser = Parser::new(b"XX", LIMITS).unwrap();
        let (mut bytes, mut fault) = (Vec::new(), None);
        for piece in form.chunks(cut).chain(more.chunks(cut)) {
            bytes.extend_from_slice(piece);
            loop {
                match parser.next(&bytes) {
                    Ok(found) => {
                        prop_assert_eq!(fault, None);
                        let is_nothing = found.1.is_none();
                        bytes.drain(..found.0);
                        if is_nothing {
                            break;
                        }
                    }
                    Err(found) => {
                        prop_assert_eq!(found, *fault.get_or_insert(found));
                        prop_assert_eq!(parser.finish(&bytes), Err(found));
                        // What was there is thrown away, or is not.
                        if bytes.len() % 2 == 0 {
                            bytes.clear();
                        }
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn what_comes_behind_a_head_that_is_malformed_is_not_read_where_it_ended() {
    let mut parser = Parser::new(b"XX", LIMITS).unwrap();
    let mut head = b"--XX\r\nno header, and long enough to be looked for where it was".to_vec();
    let (taken, None) = parser.next(&head).unwrap() else { panic!("it has not ended") };
    head.drain(..taken);
    head.extend(b"\r\n\r\n");
    assert_eq!(parser.next(&head), Err(Fault::HeadLine));
    assert_eq!(parser.next(b"x"), Err(Fault::HeadLine));
    assert_eq!(parser.finish(b""), Err(Fault::HeadLine));
}
