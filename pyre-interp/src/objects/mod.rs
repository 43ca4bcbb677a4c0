//! Step 7: what handlers see of a request, and what they answer with.

pub mod request; // the request object: fields appear when read
mod source; // where its bytes are: in a job, or in a copy of its own
pub mod request_id; // ids that no two requests share
pub(crate) mod nonce; // what the policy of an answer names
mod forms; // what a form is taken apart with
mod fields; // its mappings, made when first asked for
pub mod response; // status, headers and body, as a handler sets them
pub mod file; // a file as the body of an answer
pub mod stream; // an answer that is sent piece by piece
mod waits; // how long those wait who send or receive, and who is woken
pub mod topics; // what is published, and to whom
pub mod websocket; // a conversation over a WebSocket
mod headers; // its headers, checked where they are set
pub mod toolkit; // the classes and caches of one interpreter
