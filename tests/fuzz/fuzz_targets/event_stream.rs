//! Any text in an event: a reader finds it again, and nothing else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyre_http::event_stream::{Event, KEEP_ALIVE, is_between_events};

/// Type, data and last id of each event, as a browser reads them (section 9.2.6 of the HTML standard).
fn read(stream: &str) -> Vec<[String; 3]> {
    let lines = stream.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut id) = (Vec::new(), String::new());
    let (mut kind, mut data) = (String::new(), None::<String>);
    for line in lines.split('\n') {
        if line.is_empty() {
            if let Some(data) = data.take() {
                events.push([std::mem::take(&mut kind), data, id.clone()]);
            }
            kind.clear();
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => kind = value.to_owned(),
            "data" => match &mut data {
                Some(data) => *data = format!("{data}\n{value}"),
                None => data = Some(value.to_owned()),
            },
            "id" => id = value.to_owned(),
            "retry" | "" => {}
            _ => panic!("no field is called {name:?}"),
        }
    }
    events
}

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let mut parts = text.splitn(3, '|');
    let mut next = || parts.next().unwrap_or_default();
    let (kind, id, data) = (next(), next(), next());
    let event = Event { data, kind: Some(kind), id: Some(id), retry_ms: Some(input.len() as u64) };
    let mut out = KEEP_ALIVE.to_vec();
    let is_refused = event.write(&mut out).is_err();
    let has_line_end = [kind, id].iter().any(|field| field.contains(['\n', '\r']));
    assert_eq!(is_refused, has_line_end || id.contains('\0'));
    assert!(is_between_events(*out.last_chunk().unwrap()));
    Event { data: "behind", ..Event::default() }.write(&mut out).unwrap();
    let seen = data.replace("\r\n", "\n").replace('\r', "\n");
    let mut expected = vec![[kind.to_owned(), seen, id.to_owned()]];
    let last_id = if is_refused { String::new() } else { id.to_owned() };
    if is_refused {
        expected.clear();
    }
    expected.push([String::new(), "behind".to_owned(), last_id]);
    assert_eq!(read(std::str::from_utf8(&out).unwrap()), expected);
});
