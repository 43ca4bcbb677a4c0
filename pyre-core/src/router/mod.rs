//! The router, step 4 of a request: from method and path to a route, without Python.
//!
//! Routes are added in registration order, checked against each other, and frozen before the first
//! connection is accepted. A frozen table is read by all reactors and never changes. Sees no other room.

/// The one spelling of a path in which patterns and requests are compared.
mod spelling;
/// `{id:int}` and the like: which text a parameter accepts.
pub mod converter;
/// `/users/{id:int}`, parsed and checked.
pub mod pattern;
/// Paths without parameters: one hash look-up.
mod exact;
/// Paths with parameters: a tree of segments, the most particular branch first.
mod tree;
/// The methods a path answers to, for `Allow`.
mod allow;
/// Folders whose files are served, behind the routes.
pub mod mounts;
/// Collecting routes and refusing conflicts; the frozen table.
pub mod table;

#[cfg(test)]
mod tests;

pub use allow::AllowSet;
pub use converter::Converter;
pub use mounts::{Asked, Mount, MountError, Mounts};
pub use pattern::{Parameter, Pattern, PatternError};
pub use table::{ExactEndpoint, Found, Route, RouteError, RouteTable, RouteTableBuilder};
