//! Objects of the built-in types: made, read, counted, and what happens when they fail.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod text; // text, bytes, buffers
mod slates; // texts that are written over
mod values; // numbers, lists, tuples, dicts, kinds
mod calls; // what runs Python code, and what it raises
mod references; // who keeps what, and when it is gone

use pyre_ffi::{
    Ascii, Attached, Bool, Borrowed, Buffer, Bytes, Dict, DictWatcher, Differing, Entries,
    ExceptionKind, Float, Int, Kind, List, Object, Owned, Raised, Slate, SlateDict, Step, Str,
    Text, Tuple, collect_garbage, disable_gc, enable_gc, finally, freeze_gc, gc_is_enabled, import,
    interpreter::{Ended, IsolatedConfig, embed, run_isolated},
    none, run_source,
};

/// Runs `test` attached to the main interpreter.
fn attached(test: impl for<'py> FnOnce(Attached<'py>) + Send) {
    embed().enter(test).unwrap();
}

/// Runs `source` and gives what it named `result`.
fn eval<'py>(py: Attached<'py>, source: &str) -> Owned<'py> {
    let globals = Dict::new(py).unwrap();
    if let Err(raised) = run_source(py, source, &globals) {
        panic!("{}", message(raised, py));
    }
    globals.get(&Str::new(py, "result").unwrap(), py).unwrap().unwrap()
}

/// `ValueError: text` of an exception.
fn message(raised: Raised, py: Attached<'_>) -> String {
    let exception = raised.take(py);
    let text = exception.str(py).unwrap();
    format!("{}: {}", exception.type_name(), text.as_utf8(py).unwrap())
}

fn name<'py>(py: Attached<'py>, text: &str) -> Owned<'py, Str> {
    Str::intern(py, text).unwrap()
}
