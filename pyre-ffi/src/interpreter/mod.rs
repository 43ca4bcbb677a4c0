// What an isolated interpreter may do.
mod config;
// Threads that enter and leave; the count of those inside.
mod handle;
// Making an interpreter on the calling thread, and ending it there.
mod isolated;
// Forking while several interpreters live.
mod fork;
// A process that embeds Python: tests and benches.
mod embed;

pub use config::IsolatedConfig;
pub use embed::embed;
pub use fork::{can_fork, forks, notice_forks};
pub use handle::{InterpreterHandle, Invitation, Refused};
pub use isolated::{Ended, StartError, run_isolated};
