//! Files and what else stays the same from one request to the next: which one a path names, whether
//! the client has it already, and which parts of it are wanted. No file is opened here.

pub mod path; // from the path of a request to one below a folder
pub mod coding; // which of the encoded siblings a client takes
pub mod media_type; // what is said of the content
pub mod condition; // preconditions, and whether a range holds
pub mod range; // which parts are asked for
pub mod answer; // all of this put together: the head, and what lies behind it
