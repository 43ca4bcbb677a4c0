//! Bytes coming in, on the reactor: steps 1, 2, 4 and 5 of the life of a request.

pub(crate) mod accept; // 1: a socket gets a slot
pub(crate) mod read; // 2 and 3: bytes become requests
pub(crate) mod route; // 4: method and path find a route, or an answer without Python
pub(crate) mod admission; // 5: how many requests may be with handlers
pub(crate) mod classes; // 5: which routes are short
pub(crate) mod submit; // 5: the job goes into the ring of a worker
