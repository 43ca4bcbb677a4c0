//! Step 9: the result of a handler becomes bytes for the wire.

pub(crate) mod answer; // which result is which answer
pub(crate) mod fields; // header fields a handler sets, checked
pub(crate) mod session_field; // what a session says there
pub(crate) mod wire; // head and body, appended to the reply
pub mod json; // objects to JSON, JSON to objects
