//! Classes and modules described in Rust, used from Python: attributes, methods, behaviour,
//! garbage collection, panics, and the counts of references in all of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod described; // the classes and the module that the tests use
mod behaviour; // what Python code can do with them, and what it cannot
mod life; // how long they live, and where

use std::{
    cell::{Cell, RefCell},
    ffi::CStr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
};

use pyre_ffi::{
    Arguments, Attached, Class, ClassHandle, ClassSpec, Dict, ExceptionKind, Held, Instance, Int,
    Module, ModuleBuilder, ModuleDefinition, Names, Object, Owned, Raised, Signature, Slot, Str,
    Type, Visitor, collect_garbage, import,
    interpreter::{Ended, IsolatedConfig, embed, run_isolated},
    module::{ModuleObject, ModuleState},
    none, run_source,
};

use described::{Counter, DROPPED, Testing};

/// Runs `test` in an interpreter of its own that has the module.
fn in_interpreter(test: impl for<'py> FnOnce(Attached<'py>, &Object<ModuleObject>) + Send) {
    embed();
    let ended = run_isolated(IsolatedConfig::default(), |py, _| {
        let module = Testing::definition().install(py).unwrap();
        test(py, &module);
    });
    assert_eq!(ended.unwrap().1, Ended::Clean);
}

/// Runs Python code, and fails with what it raised.
fn run(py: Attached<'_>, source: &str) {
    if let Err(raised) = run_source(py, source, &Dict::new(py).unwrap()) {
        let exception = raised.take(py);
        let text = import(py, "traceback")
            .and_then(|module| module.attr(&*Str::new(py, "format_exception")?, py))
            .and_then(|format| format.call1(&exception, py))
            .and_then(|lines| lines.str(py))
            .unwrap();
        panic!("{}", text.as_utf8(py).unwrap().replace("\\n", "\n"));
    }
}
