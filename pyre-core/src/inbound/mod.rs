//! Bytes coming in, on the reactor: steps 1 to 5 of the life of a request.
//!
//! A step is a function of the parts it works on, and returns what is to be done next. Sees
//! `dispatch`, `connection`, `direct` and what is below them; neither the reactor nor `outbound`.

pub(crate) mod listener; // sockets that wait for connections
pub(crate) mod socket_file; // those that are in the file system: their mode, and whose they are
pub(crate) mod bind; // opening them, or taking those of the process before
pub(crate) mod claim; // who sees to such a path: one server at a time
pub(crate) mod accept; // 1: a socket gets a slot
pub(crate) mod read; // 2 and 3: bytes become requests
pub(crate) mod socket; // 2 to 4 for WebSockets
pub(crate) mod gate; // 4: who is answered at all
pub(crate) mod route; // 4: method and path find a route, or an answer without Python
pub(crate) mod upload; // 2 and 3, for a body whose handler runs already
pub(crate) mod files; // 5 for files, which the reactor answers itself
pub(crate) mod submit; // 5: the job goes into the ring of a worker
