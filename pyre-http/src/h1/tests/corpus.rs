//! Every file of `tests/corpus` again.

use super::*;
use std::path::Path;

/// Reads every file of `tests/corpus/<kind>`, put between `before` and `after`; its extension
/// says what comes of it.
fn replay(kind: &str, before: &str, after: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus").join(kind);
    let mut count = 0;
    for file in std::fs::read_dir(&folder).expect("the corpus is part of the sources") {
        let path = file.unwrap().path();
        let wire = std::fs::read(&path).unwrap();
        let input = [before.as_bytes(), &wire, after.as_bytes()].concat();
        let outcome = read_every_way(&input, &Limits::default());
        let found = match outcome.end {
            Ok(End::Idle | End::Ended) => "ok".to_owned(),
            Ok(End::InHead | End::InBody) => "more".to_owned(),
            Err(error) => error.status().to_string(),
        };
        assert_eq!(path.extension().unwrap().to_str(), Some(found.as_str()), "{path:?}");
        count += 1;
    }
    assert!(count > 20, "{count} files in {folder:?}");
}

#[test]
fn heads() {
    replay("head", "", "");
}

#[test]
fn bodies_in_chunks() {
    replay("chunked", CHUNKED, "");
}

#[test]
fn targets() {
    replay("target", "GET ", " HTTP/1.1\r\nHost: h\r\n\r\n");
}
