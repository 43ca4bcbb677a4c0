//! Whether the process is alive and ready, for whoever restarts it or sends it requests.
//!
//! A reactor that answers is alive.

use std::borrow::Cow;

use crate::shared::health::{Health, Readiness};

const JSON: &[u8] = b"application/json";

/// Status, type and text of the page that tells whether to send requests here.
pub(crate) fn ready(health: &Health) -> (u16, &'static [u8], Cow<'static, str>) {
    let (status, body) = match health.readiness() {
        Readiness::Ready => (200, r#"{"status":"ready"}"#),
        Readiness::NotReady => (503, r#"{"status":"not ready"}"#),
        Readiness::Draining => (503, r#"{"status":"draining"}"#),
    };
    (status, JSON, body.into())
}

/// Status, type and text of the page that tells whether to leave the process running.
pub(crate) fn live() -> (u16, &'static [u8], Cow<'static, str>) {
    (200, JSON, r#"{"status":"alive"}"#.into())
}
