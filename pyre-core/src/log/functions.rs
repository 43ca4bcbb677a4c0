//! What Python calls: records come in from the `logging` of each interpreter.

use std::thread;
use std::time::Duration;

use pyre_ffi::module::ModuleObject;
use pyre_ffi::{
    Arguments, Attached, Bool, Borrowed, Bytes, Dict, Float, Int, List, ModuleBuilder, Object,
    Owned, Raised, Signature, Str, Tuple, none,
};

use crate::log::entry::{Access, AccessBatch, Record};
use crate::log::streams::{self, Stream};
use crate::log::{layout, writer};
use crate::settings::{Format, Level};

const LOG_RECORD: Signature<9> = Signature::all(
    "log_record",
    ["json", "created", "level", "logger", "message", "exception", "thread", "place", "extra"],
);

const EMIT: Signature<6> = Signature {
    function: "emit_python_log",
    names: ["level", "name", "message", "pathname", "lineno", "worker_id"],
    required: 3,
    positional_max: 6,
};

const SET_DEFAULTS: Signature<2> = Signature::all("set_log_defaults", ["json", "level"]);

const SAY: Signature<3> = Signature::all("say", ["level", "label", "message"]);

const WRITE_STREAM: Signature<3> = Signature::all("write_stream", ["number", "data", "seconds"]);

const fn of_stream(function: &'static str) -> Signature<1> {
    Signature::all(function, ["number"])
}

const TAKES_AT_ONCE: Signature<1> = of_stream("takes_at_once");
const DISOWN_STREAM: Signature<1> = of_stream("disown_stream");
const IS_DISOWNED: Signature<1> = of_stream("is_disowned");

const FLUSH: Signature<1> = Signature::all("flush_log", ["seconds"]);

/// Adds the functions to the module.
pub(crate) fn add(module: &ModuleBuilder<'_>) -> Result<(), Raised> {
    module.function(
        c"log_record",
        c"log_record(json, created, level, logger, message, exception, thread, place, extra)\n--\n\n\
          Put a record of logging into the queue of the writer; never waits.",
        log_record,
    )?;
    module.function(
        c"set_log_defaults",
        c"set_log_defaults(json, level)\n--\n\n\
          Say how emit_python_log() writes, and the least level (a number) that it needs.",
        set_log_defaults,
    )?;
    module.function(
        c"emit_python_log",
        c"emit_python_log(level, name, message, pathname='', lineno=0, worker_id=None)\n--\n\n\
          Write a line to the log, past the configuration of logging; never waits.",
        emit_python_log,
    )?;
    module.function(
        c"say",
        c"say(level, label, message)\n--\n\n\
          Put a message that is no record of logging into the queue of the writer, with a label before it \
          unless the log is JSON; never waits.",
        say,
    )?;
    module.function(
        c"write_stream",
        c"write_stream(number, data, seconds)\n--\n\n\
          Write bytes to standard output (1) or error (2), and wait at most so long; returns whether all \
          were taken. Without bytes: whether some would be.",
        write_stream,
    )?;
    module.function(
        c"takes_at_once",
        c"takes_at_once(number)\n--\n\n\
          Whether standard output (1) or error (2) takes some kilobytes whatever its reader does.",
        takes_at_once,
    )?;
    module.function(
        c"disown_stream",
        c"disown_stream(number)\n--\n\n\
          Say that descriptor 1 or 2 is no standard stream: nothing of ours is written there.",
        disown_stream,
    )?;
    module.function(
        c"is_disowned",
        c"is_disowned(number)\n--\n\nWhether disown_stream() was told so.",
        is_disowned,
    )?;
    module.function(
        c"flush_log",
        c"flush_log(seconds)\n--\n\n\
          Wait until all that was logged is written, as long as somebody reads; returns whether it is.",
        flush_log,
    )
}

fn log_record<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [json, created, level, logger, message, exception, thread, place, extra] =
        given.parse(&LOG_RECORD, py)?.map(|one| one.expect("the signature requires it"));
    let created = created.cast::<Float>().map_or(0.0, Object::as_f64);
    writer::write(Record {
        format: if json.is_true(py)? { Format::Json } else { Format::Text },
        // A time before 1970 is shown as that year; the cast saturates.
        time_us: (created * 1e6) as u64,
        level: text(py, level)?,
        logger: text(py, logger)?,
        message: text(py, message)?,
        exception: text(py, exception)?,
        // Lanes are threads that `threading` has no names for.
        thread: match thread::current().name() {
            Some(name) if name.starts_with("pyre-") => name.to_owned(),
            _ => text(py, thread)?,
        },
        place: match place.cast::<pyre_ffi::Tuple>().map(|place| place.items()) {
            Some([file, line]) => Some((text(py, *file)?, number(*line))),
            _ => None,
        },
        extra: text(py, extra)?,
    });
    Ok(none(py))
}

fn set_log_defaults<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [json, level] =
        given.parse(&SET_DEFAULTS, py)?.map(|one| one.expect("the signature requires it"));
    let format = if json.is_true(py)? { Format::Json } else { Format::Text };
    writer::set_defaults(format, u8::try_from(number(level)).unwrap_or(u8::MAX));
    Ok(none(py))
}

fn emit_python_log<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [level, name, message, pathname, lineno, worker_id] = given.parse(&EMIT, py)?;
    let required =
        |value: Option<Borrowed<'_>>| text(py, value.expect("the signature requires it"));
    let pathname = pathname.map_or(Ok(String::new()), |pathname| text(py, pathname))?;
    let extra = match worker_id {
        Some(worker) if !worker.is_none() => format!("\"worker\":{}", number(worker)),
        _ => String::new(),
    };
    let level = required(level)?;
    let (logger, message) = (required(name)?, required(message)?);
    let (format, least) = writer::defaults();
    let known = Level::parse(&level.to_ascii_lowercase());
    if known.is_some_and(|known| known.number() < i64::from(least)) {
        return Ok(none(py));
    }
    writer::write(Record {
        format,
        time_us: writer::now_us(),
        level: level.to_ascii_uppercase(),
        logger,
        message,
        thread: thread::current().name().unwrap_or_default().to_owned(),
        place: (!pathname.is_empty()).then(|| (pathname, lineno.map_or(0, number))),
        extra,
        ..Record::default()
    });
    Ok(none(py))
}

fn say<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [level, label, message] =
        given.parse(&SAY, py)?.map(|one| one.expect("the signature requires it"));
    writer::say(&text(py, level)?, &text(py, label)?, &text(py, message)?);
    Ok(none(py))
}

fn write_stream<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [number, data, seconds] =
        given.parse(&WRITE_STREAM, py)?.map(|one| one.expect("the signature requires it"));
    let stream = stream(py, number)?;
    let Some(data) = data.cast::<Bytes>() else {
        return Err(Raised::type_error(py, "data must be bytes"));
    };
    let (data, patience) = (data.as_slice().to_owned(), read_seconds(py, seconds)?);
    let written = py.detach(|| match data.is_empty() {
        true => stream.takes(patience),
        false => stream.write_within(data, patience),
    });
    Ok(Bool::new(py, written).into_any())
}

fn takes_at_once<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [number] = given.parse(&TAKES_AT_ONCE, py)?;
    let stream = stream(py, number.expect("the signature requires it"))?;
    Ok(Bool::new(py, stream.takes_at_once()).into_any())
}

fn disown_stream<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [number] = given.parse(&DISOWN_STREAM, py)?;
    stream(py, number.expect("the signature requires it"))?.disown();
    Ok(none(py))
}

fn is_disowned<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [number] = given.parse(&IS_DISOWNED, py)?;
    let stream = stream(py, number.expect("the signature requires it"))?;
    Ok(Bool::new(py, stream.is_absent()).into_any())
}

fn stream(py: Attached<'_>, number: Borrowed<'_>) -> Result<&'static Stream, Raised> {
    let number = number.cast::<Int>().and_then(Object::as_i64);
    number
        .and_then(streams::of)
        .ok_or_else(|| Raised::value_error(py, "a standard stream to write to is 1 or 2"))
}

fn flush_log<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [seconds] = given.parse(&FLUSH, py)?;
    let patience = read_seconds(py, seconds.expect("the signature requires it"))?;
    let flushed = py.detach(|| writer::flush(patience));
    Ok(Bool::new(py, flushed).into_any())
}

fn read_seconds(py: Attached<'_>, seconds: Borrowed<'_>) -> Result<Duration, Raised> {
    let seconds = match (seconds.cast::<Float>(), seconds.cast::<Int>()) {
        (Some(seconds), _) => seconds.as_f64(),
        (_, Some(seconds)) => seconds.as_i64().unwrap_or(0) as f64,
        _ => return Err(Raised::type_error(py, "seconds must be a number")),
    };
    Ok(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}

/// A `str`; lone surrogates, which UTF-8 cannot carry, become question marks.
pub(crate) fn text(py: Attached<'_>, value: Borrowed<'_>) -> Result<String, Raised> {
    let Some(text) = value.into_cast::<Str>() else {
        let text = format!("the log takes a str, not {}", value.type_name());
        return Err(Raised::type_error(py, &text));
    };
    match text.as_utf8(py) {
        Ok(text) => Ok(text.to_owned()),
        Err(raised) => {
            raised.clear(py);
            Ok(text.view().to_string_lossy())
        }
    }
}

/// A whole number that is not negative, or 0.
fn number(value: Borrowed<'_>) -> u64 {
    value
        .cast::<Int>()
        .and_then(Object::as_i64)
        .map_or(0, |value| u64::try_from(value).unwrap_or(0))
}

/// Records of the access log for the program: time, level, text, and the fields by name.
pub(crate) fn access_records<'py>(
    py: Attached<'py>,
    batch: Option<&AccessBatch>,
) -> Result<Owned<'py>, Raised> {
    let mut records = Vec::new();
    for entry in batch.iter().flat_map(|batch| batch.entries.iter().map(move |one| (batch, one))) {
        records.push(access_record(py, entry.0, entry.1)?);
    }
    List::from_vec(py, records).map(Owned::into_any)
}

fn access_record<'py>(
    py: Attached<'py>,
    batch: &AccessBatch,
    entry: &Access,
) -> Result<Owned<'py>, Raised> {
    let mut words = String::new();
    layout::access_words(&mut words, batch, entry);
    let fields = Dict::new(py)?;
    for (name, text) in [
        ("client", layout::client(entry.client).into()),
        ("method", layout::piece(&batch.text[entry.method.clone()])),
        ("path", layout::piece(&batch.text[entry.path.clone()])),
        ("route", batch.vitals.route(entry.label).into()),
    ] {
        fields.set(&*Str::intern(py, name)?, &*Str::new(py, &text)?, py)?;
    }
    for (name, text) in layout::correlation(batch, entry) {
        fields.set(&*Str::intern(py, name)?, &*Str::new(py, text)?, py)?;
    }
    let whole = |number| Int::new(py, number);
    fields.set(&*Str::intern(py, "status")?, &*whole(entry.status.into())?, py)?;
    let bytes = i64::try_from(entry.bytes).unwrap_or(i64::MAX);
    fields.set(&*Str::intern(py, "bytes")?, &*whole(bytes)?, py)?;
    let milliseconds = Float::new(py, entry.took_us as f64 / 1e3)?;
    fields.set(&*Str::intern(py, "duration_ms")?, &*milliseconds, py)?;
    if let Some(code) = entry.close_code {
        fields.set(&*Str::intern(py, "close_code")?, &*whole(code.into())?, py)?;
    }
    let row = [
        Float::new(py, entry.time_us as f64 / 1e6)?.into_any(),
        whole(batch.style.level.number())?.into_any(),
        Str::new(py, &words)?.into_any(),
        fields.into_any(),
    ];
    Tuple::new(py, row).map(Owned::into_any)
}
