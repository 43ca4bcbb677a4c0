// The trait, and the objects whose data it describes.
mod instance;
// What Python passes to methods.
mod arguments;
// Slots and tables, turned into a type.
mod spec;
// The border: stops panics, turns failures into exceptions.
pub(crate) mod trampoline;
// One border function for each kind of method.
mod slots;
// Traverse and clear, for the garbage collector; the end of an object.
mod collect;

pub use arguments::{Arguments, Signature};
pub use collect::Visitor;
pub use instance::{Class, ClassHandle, Instance};
pub use spec::ClassSpec;
