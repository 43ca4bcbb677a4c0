//! What `pyreframework.forms` reads forms with; it collects there what comes of them.

mod parser; // takes those with files apart
mod pairs; // those that are URL-encoded
mod refusal; // the exception for what is wrong with one
mod spool; // where large files go

pub(crate) use pairs::form_pairs;
pub(crate) use parser::FormParser;
pub(crate) use spool::FormSpool;
