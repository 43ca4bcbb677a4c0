//! The page of metrics.

use std::borrow::Cow;

use crate::metrics::exposition::{self, CONTENT_TYPE};
use crate::shared::vitals::Vitals;

/// Status, type and text.
pub(crate) fn answer(vitals: &Vitals) -> (u16, &'static [u8], Cow<'static, str>) {
    (200, CONTENT_TYPE, exposition::expose(vitals).into())
}
