//! Settings from the dict that Python passes, which has resolved and checked them.

use std::sync::Arc;
use std::time::Duration;

use pyre_ffi::{Attached, Bytes, Dict, Float, Int, List, Object, Owned, Raised, Str};
use pyre_http::compression::Compression;
use pyre_http::cors::Cors;
use pyre_http::hosts::{Hosts, HttpsRedirect};
use pyre_http::limits::Limits;
use pyre_http::security::SecurityHeaders;

use crate::settings::{
    AccessStyle, Format, HandOver, Level, Settings, limit_milliseconds, milliseconds, parse_bind,
    parse_pages,
};

/// Reads all settings.
///
/// # Errors
/// `ValueError` that names a key which is missing or cannot be used: a fault of the package, as
/// users' mistakes are found before.
pub(crate) fn read(py: Attached<'_>, dict: &Object<Dict>) -> Result<Settings, Raised> {
    let options = Options { py, dict };
    let mut binds = Vec::new();
    for bytes in options.several_bytes("binds")? {
        binds.push(parse_bind(&bytes).ok_or_else(|| options.wrong("binds"))?);
    }
    let pages = parse_pages(&options.texts("pages")?).ok_or_else(|| options.wrong("pages"))?;
    let limits = Limits {
        head_bytes_max: options.count("max_head_bytes")?,
        body_bytes_max: options.count("max_body_size")?,
        ..Limits::default()
    };
    Ok(Settings {
        binds,
        uds_mode: match options.small_count("uds_mode")? {
            mode @ 0..=0o777 => mode,
            _ => return Err(options.wrong("uds_mode")),
        },
        uds_mode_for_handed: options.flag("uds_mode_for_handed")?,
        reuse_port: options.flag("reuse_port")?,
        backlog: i32::try_from(options.count("backlog")?).unwrap_or(i32::MAX),
        workers: options.count("workers")?,
        lanes: options.count("threads")?,
        main_lanes: options.count("gil_threads")?,
        reactors: options.count("io_workers")?,
        hand_over: HandOver::parse(&options.text("hand_over")?)
            .ok_or_else(|| options.wrong("hand_over"))?,
        take_back_ms: match options.count("take_back_ms")? {
            0 => return Err(options.wrong("take_back_ms")),
            span => span as u64,
        },
        proof_calls: options.small_count("proof_calls")?,
        proof_calls_max: options.small_count("proof_calls_max")?,
        pin: options.flag("pin")?,
        head_timeout_ms: milliseconds(options.seconds("head_timeout")?),
        body_timeout_ms: milliseconds(options.seconds("body_timeout")?),
        keep_alive_timeout_ms: milliseconds(options.seconds("keep_alive_timeout")?),
        request_timeout_ms: limit_milliseconds(options.seconds("request_timeout")?),
        stream_idle_timeout_ms: limit_milliseconds(options.seconds("stream_idle_timeout")?),
        ws_ping_ms: limit_milliseconds(options.seconds("ws_ping")?),
        ws_threads: options.count("ws_threads")?,
        message_bytes_max: options.count("max_message_size")?,
        in_flight_max: match options.count("max_in_flight")? {
            0 => None,
            count => Some(count),
        },
        queue_depth: options.count("queue_depth")?,
        requests_max: options.count("max_requests")? as u64,
        notify: i32::try_from(options.count("notify")?).unwrap_or(i32::MAX),
        server_header: options.flag("server_header")?,
        cors: options.parsed("cors", |lines| Cors::parse(lines.iter().map(String::as_str)))?,
        security: options.parsed("security_headers", |lines| {
            SecurityHeaders::parse(lines.iter().map(String::as_str))
        })?,
        hosts: options
            .parsed("trusted_hosts", |hosts| Hosts::parse(hosts.iter().map(String::as_str)))?,
        https_redirect: options.parsed("https_redirect", |lines| {
            HttpsRedirect::parse(lines.iter().map(String::as_str))
        })?,
        compression: options
            .parsed("compression", |lines| Compression::parse(lines.iter().map(String::as_str)))?,
        metrics: options.flag("metrics")?,
        pages,
        gil_watchdog: Some(options.seconds("gil_watchdog")?)
            .filter(|&seconds| seconds > 0.0)
            .map(|seconds| Duration::from_millis(milliseconds(seconds))),
        gives_ids: options.flag("gives_ids")?,
        access_log: read_access_log(&options)?,
        has_readiness_check: options.flag("has_readiness_check")?,
        limits,
    })
}

fn read_access_log(options: &Options<'_, '_>) -> Result<Option<AccessStyle>, Raised> {
    if !options.flag("access_log")? {
        return Ok(None);
    }
    let level = Level::parse(&options.text("access_level")?);
    let format = if options.text("log_format")? == "json" { Format::Json } else { Format::Text };
    Ok(Some(AccessStyle {
        format,
        level: level.ok_or_else(|| options.wrong("access_level"))?,
        one_of: options.count("access_sample")? as u64,
        always_from: u16::try_from(options.count("access_always")?).unwrap_or(u16::MAX),
        to_program: options.flag("access_to_program")?,
    }))
}

struct Options<'a, 'py> {
    py: Attached<'py>,
    dict: &'a Object<Dict>,
}

impl<'py> Options<'_, 'py> {
    fn value(&self, key: &str) -> Result<Owned<'py>, Raised> {
        self.dict.get(&*Str::intern(self.py, key)?, self.py)?.ok_or_else(|| self.wrong(key))
    }

    fn text(&self, key: &str) -> Result<String, Raised> {
        let text = self.value(key)?;
        let text = text.cast::<Str>().ok_or_else(|| self.wrong(key))?;
        text.as_utf8(self.py).map(str::to_owned)
    }

    fn texts(&self, key: &str) -> Result<Vec<String>, Raised> {
        let list = self.value(key)?;
        let list = list.cast::<List>().ok_or_else(|| self.wrong(key))?;
        let mut texts = Vec::with_capacity(list.len());
        while let Some(item) = list.get(texts.len(), self.py) {
            let text = item.cast::<Str>().ok_or_else(|| self.wrong(key))?;
            texts.push(text.as_utf8(self.py)?.to_owned());
        }
        Ok(texts)
    }

    /// What a list of texts says; none if it is empty.
    fn parsed<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&[String]) -> Result<T, String>,
    ) -> Result<Option<Arc<T>>, Raised> {
        match &self.texts(key)?[..] {
            [] => Ok(None),
            lines => parse(lines).map(Arc::new).map(Some).map_err(|_| self.wrong(key)),
        }
    }

    fn several_bytes(&self, key: &str) -> Result<Vec<Vec<u8>>, Raised> {
        let list = self.value(key)?;
        let list = list.cast::<List>().ok_or_else(|| self.wrong(key))?;
        let mut found = Vec::with_capacity(list.len());
        while let Some(item) = list.get(found.len(), self.py) {
            let bytes = item.cast::<Bytes>().ok_or_else(|| self.wrong(key))?;
            found.push(bytes.as_slice().to_owned());
        }
        Ok(found)
    }

    fn count(&self, key: &str) -> Result<usize, Raised> {
        let value = self.value(key)?;
        let number = value.cast::<Int>().and_then(|number| number.as_i64());
        number.and_then(|number| usize::try_from(number).ok()).ok_or_else(|| self.wrong(key))
    }

    fn small_count(&self, key: &str) -> Result<u32, Raised> {
        u32::try_from(self.count(key)?).map_err(|_| self.wrong(key))
    }

    fn seconds(&self, key: &str) -> Result<f64, Raised> {
        let value = self.value(key)?;
        if let Some(number) = value.cast::<Float>() {
            return Ok(number.as_f64());
        }
        self.count(key).map(|number| number as f64)
    }

    fn flag(&self, key: &str) -> Result<bool, Raised> {
        self.value(key)?.is_true(self.py)
    }

    fn wrong(&self, key: &str) -> Raised {
        Raised::value_error(self.py, &format!("setting {key:?} is missing or cannot be used"))
    }
}
