//! Coroutines of one interpreter, and the stock asyncio loop that runs them.

pub(crate) mod request_coroutine; // what a task sees of a request
pub(crate) mod asyncio; // the loop, driven from Rust
pub(crate) mod drivers; // tasks that were made before they are needed
pub(crate) mod blocking; // what debug mode tells of coroutines that block their loop
pub(crate) mod flights; // requests that wait for something, and how long they may

pub use request_coroutine::RequestCoroutine;
