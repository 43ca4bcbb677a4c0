//! A native HTTP server without Python: the ceiling that Pyre is measured against.
fn main() {}
