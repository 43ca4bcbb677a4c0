//! What heads say to protect who reads them: policies of browsers, the same for all answers but for what
//! depends on their request.

use crate::header::{is_name, is_value};

/// A value that a policy names, and scripts bear that it lets run: 18 bytes by chance in base64.
pub type Nonce = [u8; 24];

/// Where a policy has the nonce of its answer.
const PLACE: &str = "{nonce}";

/// As many bits as tell which fields a handler has said itself.
pub(crate) type Said = u16;

/// Fields of all answers.
#[derive(Debug)]
pub struct SecurityHeaders {
    fields: Vec<Field>,
    has_nonce: bool,
    has_https: bool,
}

#[derive(Debug)]
struct Field {
    name: String,
    value: String,
    /// What is between nonces, if there are any.
    around: Option<Vec<String>>,
    /// RFC 6797 section 7.2: `Strict-Transport-Security` is not for plain http.
    is_for_https: bool,
}

impl SecurityHeaders {
    /// What these lines say: the name of a header and its value behind a space; behind `https ` what is for
    /// https alone.
    ///
    /// # Errors
    /// Which line is none.
    pub fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut fields = Vec::new();
        for line in lines {
            let (line, is_for_https) = match line.strip_prefix("https ") {
                Some(line) => (line, true),
                None => (line, false),
            };
            let field = line.split_once(' ').filter(|(name, value)| {
                is_name(name.as_bytes()) && is_value(value.as_bytes()) && value.is_ascii()
            });
            let (name, value) = field.ok_or_else(|| line.to_owned())?;
            let is_policy = value.contains(PLACE);
            let around = is_policy.then(|| value.split(PLACE).map(str::to_owned).collect());
            let value = if is_policy { without_nonce(value) } else { value.to_owned() };
            fields.push(Field { name: name.to_owned(), value, around, is_for_https });
        }
        if fields.len() > Said::BITS as usize {
            return Err("too many".to_owned());
        }
        let has_nonce = fields.iter().any(|field| field.around.is_some());
        let has_https = fields.iter().any(|field| field.is_for_https);
        Ok(Self { fields, has_nonce, has_https })
    }

    /// Whether an answer depends on the nonce that its request was given.
    pub(crate) fn has_nonce(&self) -> bool {
        self.has_nonce
    }

    /// Whether an answer depends on whether its request has come by https.
    pub(crate) fn has_https(&self) -> bool {
        self.has_https
    }

    /// The bit of a field that is said here.
    #[inline]
    pub(crate) fn bit(&self, name: &[u8]) -> Said {
        let index =
            self.fields.iter().position(|field| field.name.as_bytes().eq_ignore_ascii_case(name));
        index.map_or(0, |index| 1 << index)
    }

    /// All of it, each behind the end of the line before, but for what was said already.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        said: Said,
        status: u16,
        is_https: bool,
        nonce: Option<&Nonce>,
    ) {
        for (index, field) in self.fields.iter().enumerate() {
            if said & (1 << index) != 0 || field.is_for_https && !is_https {
                continue;
            }
            // RFC 9111 section 3.2: it would replace the policy of the answer that the client has kept, which
            // has the nonce of the page that is kept with it.
            if status == 304 && field.around.is_some() {
                continue;
            }
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(field.name.as_bytes());
            out.extend_from_slice(b": ");
            match (&field.around, nonce) {
                (Some(around), Some(nonce)) => {
                    for (index, part) in around.iter().enumerate() {
                        if index > 0 {
                            out.extend_from_slice(b"'nonce-");
                            out.extend_from_slice(nonce);
                            out.push(b'\'');
                        }
                        out.extend_from_slice(part.as_bytes());
                    }
                }
                _ => out.extend_from_slice(field.value.as_bytes()),
            }
        }
    }
}

/// A policy that lets nothing run by a nonce. A list of sources with nothing in it allows none (Content
/// Security Policy Level 3, section 2.3.1), which is said.
fn without_nonce(policy: &str) -> String {
    let directive = |text: &str| {
        let words: Vec<&str> =
            text.split_ascii_whitespace().filter(|&word| word != PLACE).collect();
        match words[..] {
            [name] if text.contains(PLACE) => format!("{name} 'none'"),
            _ => words.join(" "),
        }
    };
    policy.split(';').map(directive).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(said: &[&str], status: u16, is_https: bool, nonce: Option<&Nonce>) -> String {
        let lines = [
            "X-Frame-Options DENY",
            "https Strict-Transport-Security max-age=1",
            "Content-Security-Policy default-src 'self'; script-src 'self' {nonce}; style-src {nonce}",
        ];
        let headers = SecurityHeaders::parse(lines.into_iter()).unwrap();
        assert!(headers.has_nonce() && headers.has_https());
        let said = said.iter().fold(0, |said, name| said | headers.bit(name.as_bytes()));
        let mut out = Vec::new();
        headers.write(&mut out, said, status, is_https, nonce);
        String::from_utf8(out).unwrap().replace("\r\n", "|")
    }

    #[test]
    fn what_answers_say() {
        let nonce = b"abcdefghijklmnopqrstuvwx";
        let policy = |scripts, styles| {
            format!(
                "|Content-Security-Policy: default-src 'self'; script-src 'self'{scripts}; \
                 style-src {styles}"
            )
        };
        let (plain, frames) = (policy("", "'none'"), "|X-Frame-Options: DENY");
        assert_eq!(written(&[], 200, false, None), format!("{frames}{plain}"));
        assert_eq!(
            written(&[], 200, true, Some(nonce)),
            format!(
                "{frames}|Strict-Transport-Security: max-age=1{}",
                policy(" 'nonce-abcdefghijklmnopqrstuvwx'", "'nonce-abcdefghijklmnopqrstuvwx'")
            )
        );
        assert_eq!(written(&[], 304, false, None), frames);
        assert_eq!(written(&["x-frame-options", "Vary"], 200, false, None), plain);
        let all = ["X-FRAME-OPTIONS", "content-security-policy", "strict-transport-security"];
        assert_eq!(written(&all, 200, true, Some(nonce)), "");
    }

    #[test]
    fn what_no_header_is() {
        for line in ["X-A", "X A: b", "X-A a\r\nb", "", "https ", "X-A \u{e9}"] {
            let is_one = SecurityHeaders::parse([line].into_iter()).is_ok();
            // `X` is a name, and `A: b` a value.
            assert_eq!(is_one, line == "X A: b", "{line:?}");
        }
        let many: Vec<String> = (0..17).map(|number| format!("X-{number} a")).collect();
        assert!(SecurityHeaders::parse(many.iter().map(String::as_str)).is_err());
    }
}
