//! Both ways against the standard library's `json`, in an embedded interpreter.

mod texts; // what decoding is tried with
mod decoding; // bytes to objects
mod encoding; // objects to bytes
mod random; // any objects, there and back

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proptest::prelude::*;
use pyre_ffi::interpreter::embed;
use pyre_ffi::{
    Any, Attached, Bytes, Dict, Int, List, Object, Owned, Raised, Str, Tuple, run_source,
};

use super::*;

const PRELUDE: &str = r#"
import json, re, sys, math, struct, enum, uuid, decimal, datetime, collections, dataclasses, types, typing

def loads(data):
    "The value, or the message."
    try:
        # What `json.loads` does with bytes, but for guessing UTF-16 and UTF-32.
        return (json.JSONDecoder().decode(data.decode("utf-8-sig")),)
    except ValueError as error:
        if sys.version_info < (3, 14) and ends_with_an_escape(error):
            # Up to 3.13 the last of its digits must not be the last character of all.
            return loads(data + b" ")
        return str(error)

def ends_with_an_escape(error):
    "Whether what is wrong is a \\uXXXX that is whole, and the end of the text."
    if not isinstance(error, json.JSONDecodeError) or "XXXX" not in error.msg:
        return False
    return re.fullmatch("u[0-9a-fA-F]{4}", error.doc[error.pos :]) is not None

def same(a, b):
    "Equal, of the same types, and floats to the bit."
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return a == b

def dumps(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
"#;

/// An interpreter with the prelude, and our codec in it.
struct Fixture<'py> {
    py: Attached<'py>,
    globals: Owned<'py, Dict>,
    cache: EncodeCache,
}

fn with_python(test: impl FnOnce(&Fixture<'_>) + Send) {
    // One test at a time: some count blocks of memory or change limits of the interpreter.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    let entered = embed().enter(|py| {
        let globals = Dict::new(py).unwrap();
        run(py, PRELUDE, &globals);
        test(&Fixture { py, globals, cache: EncodeCache::new(py).unwrap() });
    });
    entered.unwrap();
}

fn run(py: Attached<'_>, source: &str, globals: &Object<Dict>) {
    if let Err(raised) = run_source(py, source, globals) {
        panic!("{source}: {}", describe(raised, py));
    }
}

fn describe(raised: Raised, py: Attached<'_>) -> String {
    let exception = raised.take(py);
    let name = exception.type_name().to_owned();
    format!("{name}: {}", exception.str(py).unwrap().as_utf8(py).unwrap())
}

impl<'py> Fixture<'py> {
    fn run(&self, source: &str) {
        run(self.py, source, &self.globals);
    }

    fn get(&self, name: &str) -> Owned<'py> {
        let key = Str::new(self.py, name).unwrap();
        self.globals.get(&key, self.py).unwrap().expect(name)
    }

    fn set(&self, name: &str, value: &Object<Any>) {
        let key = Str::new(self.py, name).unwrap();
        self.globals.set(&key, value, self.py).unwrap();
    }

    fn eval(&self, expression: &str) -> Owned<'py> {
        self.run(&format!("result = {expression}"));
        self.get("result")
    }

    fn truth(&self, expression: &str) -> bool {
        self.eval(expression).is_true(self.py).unwrap()
    }

    fn decode(&self, text: &[u8]) -> Result<Owned<'py>, String> {
        self.decode_with(text, &mut KeyCache::new())
    }

    fn decode_with(&self, text: &[u8], keys: &mut KeyCache) -> Result<Owned<'py>, String> {
        decode(self.py, text, keys).map_err(|failure| match failure {
            DecodeFailure::Malformed(error) => error.message(text),
            DecodeFailure::Raised(raised) => describe(raised, self.py),
        })
    }

    fn encode(&self, value: &Object<Any>) -> Result<Vec<u8>, String> {
        self.encode_with(value, None)
    }

    fn encode_with(
        &self,
        value: &Object<Any>,
        default: Option<&Object<Any>>,
    ) -> Result<Vec<u8>, String> {
        let mut out = b"head".to_vec();
        let answer = encode(self.py, value, &mut out, &self.cache, default);
        assert!(out.starts_with(b"head"));
        match answer {
            Ok(()) => Ok(out.split_off(4)),
            Err(raised) => {
                assert_eq!(out, b"head", "a failure leaves nothing behind");
                Err(describe(raised, self.py))
            }
        }
    }

    fn bytes(&self, bytes: &[u8]) -> Owned<'py> {
        Bytes::new(self.py, bytes).unwrap().into_any()
    }

    /// Whether both are equal to the bit.
    fn same(&self, a: &Object<Any>, b: &Object<Any>) -> bool {
        self.get("same").call2(a, b, self.py).unwrap().is_true(self.py).unwrap()
    }

    /// Decodes as the standard library does: the same value, or the same message. Infinite numbers
    /// are refused.
    fn check_decoding(&self, text: &[u8]) -> Result<(), TestCaseError> {
        let expected = self.get("loads").call1(&self.bytes(text), self.py).unwrap();
        let shown = String::from_utf8_lossy(text);
        match (self.decode(text), expected.cast::<Tuple>()) {
            // Whatever the standard library has to say about the rest.
            (Err(message), _) if message.starts_with("Number out of range") => {}
            (Ok(value), Some(expected)) => {
                prop_assert!(self.same(&value, &expected.items()[0]), "{}", shown);
            }
            (Err(message), None) => {
                let expected = expected.cast::<Str>().unwrap().as_utf8(self.py).unwrap();
                prop_assert_eq!(&message, expected, "{}", shown);
            }
            (ours, _) => {
                let expected = expected.repr(self.py).unwrap();
                let expected = expected.as_utf8(self.py).unwrap();
                prop_assert!(false, "{shown}: {ours:?} but {expected}");
            }
        }
        Ok(())
    }

    /// Encodes `value` so that the standard library reads the same value back, and, unless there
    /// are floats in it, writes the same text.
    fn check_encoding(&self, value: &Object<Any>, has_floats: bool) -> Result<(), TestCaseError> {
        let ours = self.encode(value).map_err(TestCaseError::fail)?;
        let decoded = self.get("loads").call1(&self.bytes(&ours), self.py).unwrap();
        let decoded = decoded.cast::<Tuple>().expect("we write JSON").items()[0];
        prop_assert!(self.same(&decoded, value), "{}", String::from_utf8_lossy(&ours));
        if !has_floats {
            let theirs = self.get("dumps").call1(value, self.py).unwrap();
            let theirs = theirs.cast::<Bytes>().unwrap().as_slice();
            prop_assert_eq!(ours, theirs);
        }
        Ok(())
    }
}

#[track_caller]
fn time_limit(seconds: u64, what: impl FnOnce()) {
    let start = Instant::now();
    what();
    assert!(start.elapsed() < Duration::from_secs(seconds), "took {:?}", start.elapsed());
}
