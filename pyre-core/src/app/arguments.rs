//! What the methods of an app are called with, and how a handler is to be called.

use pyre_ffi::{Attached, Borrowed, Float, Held, Int, Object, Raised, Str, Tuple};
use pyre_interp::invoke::application::{Argument, Conversion, Parameter, Plan, Socket};

use crate::router::Converter;
use crate::settings::milliseconds;

/// All arguments of a method that requires all.
pub(super) fn required<const N: usize>(arguments: [Option<Borrowed<'_>>; N]) -> [Borrowed<'_>; N] {
    arguments.map(|argument| argument.expect("the signature requires every argument"))
}

/// The text of an argument.
pub(super) fn text<'a>(
    py: Attached<'_>,
    name: &str,
    value: Borrowed<'a>,
) -> Result<&'a str, Raised> {
    match value.into_cast::<Str>() {
        Some(text) => text.into_utf8(py),
        None => {
            let text = format!("{name} must be a str, not {}", value.type_name());
            Err(Raised::type_error(py, &text))
        }
    }
}

/// An argument that can be called.
pub(super) fn callable(py: Attached<'_>, name: &str, value: Borrowed<'_>) -> Result<Held, Raised> {
    if value.is_callable() {
        return Ok(Held::new(py, value.to_owned(py)));
    }
    let text = format!("{name} must be callable, and {} is not", value.type_name());
    Err(Raised::type_error(py, &text))
}

/// Milliseconds; 0 for no limit, none for what the server says.
pub(super) fn read_timeout(py: Attached<'_>, seconds: &Object) -> Result<Option<u64>, Raised> {
    if seconds.is_none() {
        return Ok(None);
    }
    match (seconds.cast::<Float>(), seconds.cast::<Int>().and_then(|number| number.as_i64())) {
        (Some(seconds), _) if seconds.as_f64() > 0.0 => Ok(Some(milliseconds(seconds.as_f64()))),
        (Some(_), _) | (None, Some(0)) => Ok(Some(0)),
        (None, Some(seconds)) if seconds > 0 => Ok(Some(milliseconds(seconds as f64))),
        _ => Err(Raised::type_error(py, "timeout must be a number of seconds, or None")),
    }
}

/// How values that match a converter are made.
pub(super) fn conversion(converter: Converter) -> Conversion {
    match converter {
        Converter::Str | Converter::Path | Converter::Rest => Conversion::Str,
        Converter::Int => Conversion::Int,
        Converter::Float => Conversion::Float,
        Converter::Uuid => Conversion::Uuid,
    }
}

/// Reads how a handler is to be called; see `add_route` in `engine.pyi`.
pub(super) fn read_plan(
    py: Attached<'_>,
    plan: &Object,
    parameters: &[Parameter],
) -> Result<Plan, Raised> {
    if plan.is_none() {
        return Ok(Plan::Request);
    }
    let Some(plan) = plan.cast::<Tuple>() else {
        return Err(Raised::type_error(py, "plan must be a tuple or None"));
    };
    let mut arguments = Vec::with_capacity(plan.len());
    for entry in plan.items() {
        arguments.push(if entry.is_none() {
            Argument::Request
        } else {
            read_argument(py, entry, parameters)?
        });
    }
    Ok(match &arguments[..] {
        [] => Plan::Nothing,
        [Argument::Request] => Plan::Request,
        _ => Plan::Mixed(arguments.into()),
    })
}

/// The plan of a WebSocket: what `add_route` in `engine.pyi` says; no other route has it.
pub(super) fn read_socket(
    py: Attached<'_>,
    plan: Plan,
    socket: Option<&Object>,
) -> Result<Plan, Raised> {
    let Some(socket) = socket else { return Ok(plan) };
    let wrong = || Raised::type_error(py, "socket must be (origins, subprotocols, compression)");
    let terms = socket.cast::<Tuple>().ok_or_else(wrong)?;
    let [origins, protocols, compresses] = terms.items() else { return Err(wrong()) };
    let texts = |object: &Object| -> Result<Vec<String>, Raised> {
        let items = object.cast::<Tuple>().ok_or_else(wrong)?.items();
        items.iter().map(|item| text(py, "socket", *item).map(str::to_owned)).collect()
    };
    let arguments = match plan {
        Plan::Request => [Argument::Request].into(),
        Plan::Nothing => [].into(),
        Plan::Mixed(arguments) => arguments,
        Plan::Socket(socket) => socket.arguments,
    };
    Ok(Plan::Socket(Box::new(Socket {
        arguments,
        origins: if origins.is_none() { None } else { Some(texts(origins)?) },
        protocols: texts(protocols)?,
        compresses: compresses.is_true(py)?,
    })))
}

fn read_argument(
    py: Attached<'_>,
    entry: &Object,
    parameters: &[Parameter],
) -> Result<Argument, Raised> {
    let wrong = || Raised::type_error(py, "an entry of plan must be None or (name, converter)");
    let pair = entry.cast::<Tuple>().ok_or_else(wrong)?;
    let [name, converter] = pair.items() else { return Err(wrong()) };
    let (name, converter) = (text(py, "name", *name)?, text(py, "converter", *converter)?);
    let found = parameters.iter().position(|parameter| parameter.name.bind(py).equals_str(name));
    let Some(index) = found else {
        let text = format!("the pattern has no parameter {name:?}");
        return Err(Raised::value_error(py, &text));
    };
    let conversion = match converter {
        "" => parameters[index].conversion,
        "str" => Conversion::Str,
        "int" => Conversion::Int,
        "float" => Conversion::Float,
        "bool" => Conversion::Bool,
        "uuid" => Conversion::Uuid,
        _ => {
            let text = format!("{converter:?} is not a converter");
            return Err(Raised::value_error(py, &text));
        }
    };
    Ok(Argument::Parameter { index, conversion })
}
