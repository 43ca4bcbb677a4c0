//! Python's C API with owners, borrows and errors in the types.
//!
//! The only crate that names `pyo3_ffi`. What is safe to call from here up stays safe whatever
//! the caller does; the rules that make it so:
//!
//! 1. [`Attached`] proves that this thread runs an interpreter. It cannot leave its thread or its
//!    scope, and [`Attached::detach`] takes only `Send` closures, so nothing that needs the
//!    interpreter can be reached while it is released.
//! 2. [`Owned<'py, T>`](Owned) is one strong reference, [`Borrowed<'a, T>`](Borrowed) none. Both
//!    end with the attachment they were made under, and neither is `Send`. What outlives an
//!    attachment is kept in a [`Held`] or a [`Slot`]: these know their interpreter and check it.
//! 3. Lists and dicts may change whenever Python code runs, so their items come as `Owned`.
//!    Tuples, strings and bytes never change, so views into them are borrowed. (A [`Slate`] writes
//!    over a string, while it is the only one that has it.)
//! 4. Any call that takes an [`Attached`] may run Python code, and so may the drop of an `Owned`:
//!    other threads of the interpreter may run meanwhile, and class methods may be re-entered.
//! 5. Every border function stops panics, and turns them into a `RuntimeError`.
//! 6. `py` is the first argument of constructors and free functions, the last of methods.

#[cfg(not(Py_3_13))]
compile_error!("Pyre needs CPython 3.13 or newer; set PYO3_PYTHON to such an interpreter");
#[cfg(Py_GIL_DISABLED)]
compile_error!(
    "Pyre relies on the GIL of each interpreter; free-threaded builds are not supported"
);
#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
compile_error!("Pyre reads object layouts that were checked on 64-bit little-endian machines only");

// Who may touch objects, and who keeps them alive.
mod attached;
mod owned;
mod borrowed;
mod held;

// What can be done with any object, and how it fails.
mod raised;
mod object;
mod referents;
mod call;
mod iteration;
mod code;
mod context;
mod threads;
mod gc;

// One type each: make, read, fill.
mod layout;
mod ascii;
mod text;
mod slate;
mod bytes;
mod buffer;
mod number;
mod list;
mod tuple;
mod dict;
mod dict_watcher;
mod slate_dict;
mod names;

/// Heap types described in safe Rust.
pub mod class;
/// Extension modules with state per interpreter.
pub mod module;
/// Life of an interpreter and the threads that run it.
pub mod interpreter;
mod guarded;

pub use ascii::Ascii;
pub use attached::{Attached, InterpreterId};
pub use borrowed::Borrowed;
pub use buffer::Buffer;
pub use bytes::Bytes;
pub use class::{Arguments, Class, ClassHandle, ClassSpec, Instance, Signature, Visitor};
pub use code::{import, run_source};
pub use context::copy_context;
pub use dict::{Dict, DictItems};
pub use dict_watcher::DictWatcher;
pub use gc::{collect_garbage, disable_gc, enable_gc, freeze_gc, gc_is_enabled};
pub use guarded::Guarded;
pub use held::{Held, Slot};
pub use iteration::{Iteration, Step};
pub use list::List;
pub use module::{Module, ModuleBuilder, ModuleDefinition};
pub use names::Names;
pub use number::{Bool, Float, Int, none};
pub use object::{Any, Builtin, Kind, Object, Type};
pub use owned::Owned;
pub use raised::{Exception, ExceptionKind, Raised, RecursionGuard, finally};
pub use referents::Differing;
pub use slate::{SLATE_MAX, Slate};
pub use slate_dict::{Entries, SlateDict};
pub use text::{Str, Text};
pub use threads::{
    ThreadId, frame_of_thread, frames_of_other_threads, frames_of_threads, raise_in_thread,
    withdraw_from_thread,
};
pub use tuple::Tuple;
