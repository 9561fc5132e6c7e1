//! Ways in for the fuzz targets, compiled for them alone.

use crate::body;
use crate::report::{self, Form};
use http::HeaderMap;
use rollback_core::{Deploy, Timestamp};

/// The deploy that a body reports in the form that its headers announce, or the problem's text.
pub fn report(headers: &HeaderMap, bytes: &[u8], now: Timestamp) -> Result<Deploy, String> {
    let read = || {
        let form = Form::of(headers)?;
        report::read(&form, &body::parsed(bytes)?, now)
    };
    read().map(|report| report.deploy).map_err(|problem| format!("{problem:?}"))
}
