use super::fault::Fault;
use super::parameters::take_apart;

/// The most characters that a boundary may have (RFC 2046 section 5.1.1).
pub const BOUNDARY_BYTES_MAX: usize = 70;

/// The boundary of a form, from the value of a `Content-Type`; nothing if that is of another type.
///
/// It may stand without quotes also if it has characters that a token has not, such as `=`: clients send it
/// so, and it cannot be mistaken.
///
/// # Errors
/// It is missing, doubled, or has characters that it may not have.
pub fn boundary_of(content_type: &[u8]) -> Result<Option<&[u8]>, Fault> {
    let (media_type, parameters) = take_apart(content_type, Fault::ContentType);
    if !media_type.eq_ignore_ascii_case(b"multipart/form-data") {
        return Ok(None);
    }
    let mut found = None;
    for parameter in parameters {
        let (name, value) = parameter?;
        if name.eq_ignore_ascii_case(b"boundary") && found.replace(value.raw()).is_some() {
            return Err(Fault::Repeated);
        }
    }
    let boundary = found.ok_or(Fault::NoBoundary)?;
    if is_boundary(boundary) { Ok(Some(boundary)) } else { Err(Fault::Boundary) }
}

/// Whether RFC 2046 section 5.1.1 has this for a boundary.
pub(super) fn is_boundary(text: &[u8]) -> bool {
    let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
    (1..=BOUNDARY_BYTES_MAX).contains(&text.len())
        && text.iter().all(is_valid)
        && text.last() != Some(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content_type: &str, expected: Result<Option<&str>, Fault>) {
        let found = boundary_of(content_type.as_bytes());
        assert_eq!(found, expected.map(|found| found.map(str::as_bytes)), "{content_type:?}");
    }

    #[test]
    fn boundaries() {
        check("", Ok(None));
        check("text/plain; boundary=a", Ok(None));
        check("multipart/mixed; boundary=a", Ok(None));
        check("multipart/form-data; boundary=a", Ok(Some("a")));
        check("Multipart/Form-Data;charset=utf-8;BOUNDARY=\"a b\" ;", Ok(Some("a b")));
        check(
            "multipart/form-data; boundary=----=_Part_1?/:(),.'+",
            Ok(Some("----=_Part_1?/:(),.'+")),
        );
        check("multipart/form-data", Err(Fault::NoBoundary));
        check("multipart/form-data; charset=utf-8", Err(Fault::NoBoundary));
        check("multipart/form-data; boundary", Err(Fault::ContentType));
        check("multipart/form-data; boundary=\"a", Err(Fault::ContentType));
        check("multipart/form-data; boundary=a; boundary=b", Err(Fault::Repeated));
        for wrong in ["", "\"\"", "\"a \"", "a*b", "\"a\u{e9}\"", "\"a\\b\"", &"a".repeat(71)] {
            check(&format!("multipart/form-data; boundary={wrong}"), Err(Fault::Boundary));
        }
        let longest = "a".repeat(70);
        check(&format!("multipart/form-data; boundary={longest}"), Ok(Some(&longest)));
    }
}
