// Multi-phase initialisation; supports interpreters with a lock of their own.
mod init;
// Typed state, one per module object and so per interpreter.
mod state;

pub use init::{Module, ModuleBuilder, ModuleDefinition, ModuleObject};
pub use state::ModuleState;
pub(crate) use state::attached_of_class;
