//! What a session says in the head of an answer.

use pyre_ffi::{Attached, Object, Raised, Str};

use crate::serialize::fields::{Fields, check_value};

const SET_COOKIE: &[u8] = b"Set-Cookie";

/// That the answer depends on cookies, and the line that sets one, if it does.
#[derive(Default)]
pub(crate) struct SessionField {
    cookie: Option<Vec<u8>>,
}

impl SessionField {
    /// Of what `Sessions.settle` has returned.
    ///
    /// # Errors
    /// `TypeError` or `ValueError` if that is no line.
    pub(crate) fn of(cookie: Option<&Object>, py: Attached<'_>) -> Result<Self, Raised> {
        let Some(line) = cookie.filter(|line| !line.is_none()) else { return Ok(Self::default()) };
        let Some(line) = line.cast::<Str>() else {
            let text = format!("a session is written by a str, not {}", line.type_name());
            return Err(Raised::type_error(py, &text));
        };
        let cookie = check_value(SET_COOKIE, line, py)?.to_vec();
        Ok(Self { cookie: Some(cookie) })
    }

    /// Name and value of the field that sets the cookie.
    pub(crate) fn cookie(&self) -> Option<(&[u8], &[u8])> {
        self.cookie.as_deref().map(|line| (SET_COOKIE, line))
    }

    /// Adds to the fields of an answer that it depends on cookies (RFC 9110 section 12.5.5). One that sets
    /// a cookie is for no cache that others share (RFC 9111 section 5.2.2.7), unless its handler has said so.
    pub(crate) fn put_into(&self, fields: &mut Fields) {
        fields.add_member(b"Vary", b"Cookie", &[b"*", b"Cookie"]);
        if let Some((name, line)) = self.cookie() {
            let said: &[&[u8]] = &[b"public", b"private", b"no-store"];
            fields.add_member(b"Cache-Control", b"private", said);
            fields.push_ours(name, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lines<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn what_it_adds() {
        let cases: &[(Lines<'_>, bool, Lines<'_>)] = &[
            (&[], false, &[("Vary", "Cookie")]),
            (&[], true, &[("Vary", "Cookie"), ("Cache-Control", "private"), ("Set-Cookie", "a=b")]),
            (&[("vary", "*"), ("x", "y")], false, &[("vary", "*"), ("x", "y")]),
            (&[("vary", "Accept ,cookie")], false, &[("vary", "Accept ,cookie")]),
            (&[("vary", "Cookies"), ("x", "y")], false, &[("vary", "Cookies, Cookie"), ("x", "y")]),
            (&[("Vary", ""), ("x", "y")], false, &[("Vary", "Cookie"), ("x", "y")]),
            (
                &[("Vary", "a"), ("x", "y"), ("VARY", "b"), ("z", "")],
                false,
                &[("Vary", "a"), ("x", "y"), ("VARY", "b, Cookie"), ("z", "")],
            ),
            (&[("Vary", "cookie"), ("Vary", "b")], false, &[("Vary", "cookie"), ("Vary", "b")]),
            (
                &[("cache-control", "max-age=60"), ("set-cookie", "c=d"), ("Vary", "*")],
                true,
                &[
                    ("cache-control", "max-age=60, private"),
                    ("set-cookie", "c=d"),
                    ("Vary", "*"),
                    ("Set-Cookie", "a=b"),
                ],
            ),
            (
                &[("Cache-Control", "max-age=60, Public"), ("Vary", "*")],
                true,
                &[("Cache-Control", "max-age=60, Public"), ("Vary", "*"), ("Set-Cookie", "a=b")],
            ),
        ];
        for (before, is_written, after) in cases {
            let mut fields = Fields::default();
            for (name, value) in *before {
                fields.push_ours(name.as_bytes(), value.as_bytes());
            }
            let field = SessionField { cookie: is_written.then(|| b"a=b".to_vec()) };
            field.put_into(&mut fields);
            let after: Vec<_> =
                after.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            assert_eq!(fields.iter().collect::<Vec<_>>(), after, "{before:?}");
        }
    }
}
