//! Path values, decoded and converted, as arguments of the handler and as `req.params`.

use pyre_ffi::{
    Ascii, Attached, Bool, Borrowed, Dict, Entries, Float, Int, Object, Owned, Raised, SLATE_MAX,
    Slate, Str, import,
};
use pyre_http::form::percent_decoded;
use pyre_http::span::Span;

use crate::invoke::application::{Argument, Conversion, Parameter};
use crate::job::{Call, Job};

/// Texts of parameters, by their place in the pattern, which are written anew for each request.
pub(crate) type Slates = [Slate; SLATES];

/// How many parameters have one; few routes have more.
pub(crate) const SLATES: usize = 4;

/// Why a value is not what it should be.
pub(crate) enum Unfit<'a> {
    /// The text of a parameter does not convert: the client's mistake.
    Value {
        /// The parameter.
        parameter: &'a Parameter,
        /// What it should have been.
        conversion: Conversion,
    },
    /// Something else went wrong.
    Raised(Raised),
}

impl From<Raised> for Unfit<'_> {
    fn from(raised: Raised) -> Self {
        Self::Raised(raised)
    }
}

/// What a client is told of a value that does not convert.
pub(crate) fn describe(conversion: Conversion) -> (&'static str, &'static str) {
    match conversion {
        Conversion::Str => ("value is not a string", "string_type"),
        Conversion::Int => ("value is not an integer", "int_parsing"),
        Conversion::Float => ("value is not a number", "float_parsing"),
        Conversion::Bool => ("value is not a boolean", "bool_parsing"),
        Conversion::Uuid => ("value is not a UUID", "uuid_parsing"),
    }
}

/// The raw text of the parameters of the job's current call.
pub(crate) fn raw_parameters(job: &Job, params: (u32, u32)) -> &[Span] {
    &job.params[params.0 as usize..params.1 as usize]
}

/// As [`raw_parameters`], copied: for conversions that [run Python code](runs_python).
#[cold]
pub(crate) fn raw_texts(job: &Job, call: &Call) -> Vec<Vec<u8>> {
    raw_parameters(job, call.params).iter().map(|span| span.of(&job.bytes).to_vec()).collect()
}

/// Appends the positional arguments of a handler; `raw` gives the text of each parameter.
#[inline(always)]
pub(crate) fn arguments<'py, 'a, 'b>(
    py: Attached<'py>,
    request: &Object,
    raw: impl Fn(usize) -> &'b [u8],
    plan: &[Argument],
    parameters: &'a [Parameter],
    slates: &Slates,
    arguments: &mut Vec<Owned<'py>>,
) -> Result<(), Unfit<'a>> {
    for argument in plan {
        arguments.push(match *argument {
            Argument::Request => request.to_owned(py),
            Argument::Parameter { index, conversion } => {
                match convert(py, raw(index), conversion, slates.get(index))? {
                    Some(value) => value,
                    None => return Err(Unfit::Value { parameter: &parameters[index], conversion }),
                }
            }
        });
    }
    Ok(())
}

/// Whether converting a parameter runs Python code, which lets other threads in.
pub(crate) fn runs_python(parameters: &[Parameter]) -> bool {
    parameters.iter().any(|parameter| parameter.conversion == Conversion::Uuid)
}

/// All parameters by name; `raw` gives the text of each.
pub(crate) fn dict<'py, 'a>(
    py: Attached<'py>,
    raw: impl Fn(usize) -> &'a [u8],
    parameters: &[Parameter],
) -> Result<Owned<'py, Dict>, Raised> {
    let dict = Dict::new(py)?;
    for (index, parameter) in parameters.iter().enumerate() {
        dict.set(&*parameter.name.bind(py), &*value(py, raw(index), parameter)?, py)?;
    }
    Ok(dict)
}

/// The parameters of a call, for a dict that is filled again for the next call of the same handler.
/// None of their conversions [runs Python code](runs_python).
pub(crate) struct PathEntries<'a> {
    pub(crate) job: &'a Job,
    pub(crate) spans: &'a [Span],
    pub(crate) parameters: &'a [Parameter],
}

impl PathEntries<'_> {
    #[inline(always)]
    fn raw(&self, index: usize) -> &[u8] {
        self.spans[index].of(&self.job.bytes)
    }
}

impl Entries for PathEntries<'_> {
    #[inline(always)]
    fn count(&self) -> usize {
        self.parameters.len()
    }

    #[inline(always)]
    fn shape(&self) -> usize {
        // Handlers stay where they are while the app serves.
        self.parameters.as_ptr().addr()
    }

    #[inline(always)]
    fn may_retire(&self) -> bool {
        self.count() <= SLATES && (0..self.count()).all(|index| self.raw(index).len() <= SLATE_MAX)
    }

    #[inline(always)]
    fn name<'a>(&'a self, index: usize, py: Attached<'a>) -> Borrowed<'a, Str> {
        self.parameters[index].name.bind(py)
    }

    #[inline(always)]
    fn text(&self, index: usize) -> Option<Ascii<'_>> {
        match self.parameters[index].conversion {
            Conversion::Str => plain(self.raw(index)),
            _ => None,
        }
    }

    #[inline(never)]
    fn other<'py>(&self, index: usize, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        value(py, self.raw(index), &self.parameters[index])
    }
}

/// The value of a parameter, from its raw text.
fn value<'py>(py: Attached<'py>, raw: &[u8], parameter: &Parameter) -> Result<Owned<'py>, Raised> {
    match convert(py, raw, parameter.conversion, None)? {
        Some(value) => Ok(value),
        // The router lets only text through that converts; what it does not know is a str.
        None => decoded(py, raw).map(Owned::into_any),
    }
}

/// Percent-decoded text; what is not UTF-8 becomes U+FFFD.
pub(crate) fn decoded<'py>(py: Attached<'py>, raw: &[u8]) -> Result<Owned<'py, Str>, Raised> {
    let mut scratch = Vec::new();
    Str::utf8_lossy(py, percent_decoded(raw, &mut scratch))
}

/// Converts the raw text of a parameter; `None` if it does not fit.
fn convert<'py>(
    py: Attached<'py>,
    raw: &[u8],
    conversion: Conversion,
    slate: Option<&Slate>,
) -> Result<Option<Owned<'py>>, Raised> {
    if conversion == Conversion::Str
        && let Some(text) = plain(raw)
    {
        let text = match slate {
            Some(slate) => slate.write(py, text)?,
            None => Str::ascii(py, text)?,
        };
        return Ok(Some(text.into_any()));
    }
    let mut scratch = Vec::new();
    let text = percent_decoded(raw, &mut scratch);
    Ok(match conversion {
        Conversion::Str => Some(Str::utf8_lossy(py, text)?.into_any()),
        Conversion::Int => int(py, text)?,
        Conversion::Float => match float(text) {
            Some(value) => Some(Float::new(py, value)?.into_any()),
            None => None,
        },
        Conversion::Bool => truth(text).map(|value| Bool::new(py, value).into_any()),
        Conversion::Uuid => uuid(py, text)?,
    })
}

/// The text, if it stands for itself: ASCII, and nothing encoded.
#[inline]
fn plain(raw: &[u8]) -> Option<Ascii<'_>> {
    Ascii::without(b'%', raw)
}

/// Digits with an optional sign, at most as many as Python converts in any configuration.
fn int<'py>(py: Attached<'py>, text: &[u8]) -> Result<Option<Owned<'py>>, Raised> {
    const DIGITS_MAX: usize = 640;
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return Ok(None);
    }
    let text = std::str::from_utf8(text).expect("digits are ASCII");
    Ok(Some(match text.parse::<i64>() {
        Ok(value) => Int::new(py, value)?.into_any(),
        Err(_) => Int::from_decimal(py, text)?.into_any(),
    }))
}

/// A finite number as JSON, Python and everybody else write it.
fn float(text: &[u8]) -> Option<f64> {
    let is_plain =
        text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (is_plain && value.is_finite()).then_some(value)
}

fn truth(text: &[u8]) -> Option<bool> {
    let is = |word: &&str| text.eq_ignore_ascii_case(word.as_bytes());
    if ["true", "1", "yes", "on"].iter().any(is) {
        Some(true)
    } else if ["false", "0", "no", "off"].iter().any(is) {
        Some(false)
    } else {
        None
    }
}

/// A `uuid.UUID`; the module is imported when the first one is asked for.
fn uuid<'py>(py: Attached<'py>, text: &[u8]) -> Result<Option<Owned<'py>>, Raised> {
    let is_uuid = match text.len() {
        32 => text.iter().all(u8::is_ascii_hexdigit),
        36 => text.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        }),
        _ => false,
    };
    if !is_uuid {
        return Ok(None);
    }
    let class = import(py, "uuid")?.attr(&*Str::intern(py, "UUID")?, py)?;
    class.call1(&*Str::utf8(py, text)?, py).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_plain_numbers_are_floats() {
        assert_eq!(float(b"1.5e3"), Some(1500.0));
        for text in ["nan", "inf", "infinity", "1e999", "0x1", "", "1_0", " 1"] {
            assert_eq!(float(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn words_of_truth_are_few() {
        assert_eq!(truth(b"TRUE"), Some(true));
        assert_eq!(truth(b"off"), Some(false));
        assert_eq!(truth(b"2"), None);
    }
}
