//! What is agreed on compression: `Sec-WebSocket-Extensions` (RFC 6455 section 9.1) with
//! `permessage-deflate` (RFC 7692 section 7.1).

use std::fmt::{self, Display, Formatter};

use super::deflate::{Deflater, Inflater, WINDOW_BITS};

/// The name of the extension.
const NAME: &[u8] = b"permessage-deflate";

/// What both sides keep to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Agreed {
    /// Whether the server's messages may refer to those before.
    pub server_takes_over: bool,
    /// Whether the client's may.
    pub client_takes_over: bool,
    /// The server's window, as a logarithm; `None` if nothing was said.
    pub server_bits: Option<u8>,
}

impl Agreed {
    /// Agrees to the first offer that can be kept; the values are those of the fields in their order.
    /// `None`: to none, so nothing is compressed. `server_takes_over`: whether the server wants to
    /// keep a window for each connection.
    pub fn to_first<'a>(
        values: impl IntoIterator<Item = &'a [u8]>,
        server_takes_over: bool,
    ) -> Option<Self> {
        values
            .into_iter()
            .flat_map(|value| value.split(|byte| *byte == b','))
            .find_map(|offer| Self::to(offer, server_takes_over))
    }

    /// Section 7.1.3: an offer with a parameter that is unknown, repeated or wrong is declined.
    fn to(offer: &[u8], server_takes_over: bool) -> Option<Self> {
        let mut parameters = offer.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        if !parameters.next()?.eq_ignore_ascii_case(NAME) {
            return None;
        }
        let mut agreed = Self { server_takes_over, client_takes_over: true, server_bits: None };
        let mut seen = 0_u8;
        for parameter in parameters {
            let mut halves = parameter.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
            let (name, value) = (halves.next()?, halves.next());
            let bit = match (name, value) {
                (b"server_no_context_takeover", None) => {
                    agreed.server_takes_over = false;
                    1
                }
                (b"client_no_context_takeover", None) => {
                    agreed.client_takes_over = false;
                    2
                }
                (b"server_max_window_bits", Some(value)) => {
                    // The library has no window of 2^8 bytes.
                    agreed.server_bits =
                        Some(bits_of(value).filter(|bits| WINDOW_BITS.contains(bits))?);
                    4
                }
                // The largest window reads whatever the client chooses.
                (b"client_max_window_bits", None) => 8,
                (b"client_max_window_bits", Some(value)) => {
                    bits_of(value)?;
                    8
                }
                _ => return None,
            };
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
        }
        Some(agreed)
    }

    /// For what the client sends.
    #[must_use]
    pub fn inflater(&self) -> Inflater {
        Inflater::new(self.client_takes_over)
    }

    /// For what the server sends.
    #[must_use]
    pub fn deflater(&self) -> Deflater {
        Deflater::new(self.server_takes_over, self.window_bits())
    }

    /// The server's window, as a logarithm.
    #[must_use]
    pub fn window_bits(&self) -> u8 {
        self.server_bits.unwrap_or(*WINDOW_BITS.end())
    }
}

/// The value of the answer's `Sec-WebSocket-Extensions`.
impl Display for Agreed {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("permessage-deflate")?;
        if !self.server_takes_over {
            formatter.write_str("; server_no_context_takeover")?;
        }
        if !self.client_takes_over {
            formatter.write_str("; client_no_context_takeover")?;
        }
        if let Some(bits) = self.server_bits {
            write!(formatter, "; server_max_window_bits={bits}")?;
        }
        Ok(())
    }
}

/// 8 to 15 without a leading zero (section 7.1.2), perhaps quoted (RFC 6455 section 9.1).
fn bits_of(value: &[u8]) -> Option<u8> {
    let value =
        value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    match value {
        [digit @ (b'8' | b'9')] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(offers: &[&str], server_takes_over: bool) -> Option<String> {
        let values = offers.iter().map(|offer| offer.as_bytes());
        Agreed::to_first(values, server_takes_over).map(|agreed| agreed.to_string())
    }

    #[test]
    fn offers_and_answers() {
        for (offers, expected) in [
            (&[][..], None),
            (&["x-webkit-deflate-frame"], None),
            (&["permessage-deflate"], Some("permessage-deflate")),
            (&["Permessage-Deflate ; client_max_window_bits"], Some("permessage-deflate")),
            (
                &["permessage-deflate; client_max_window_bits; server_max_window_bits=10"],
                Some("permessage-deflate; server_max_window_bits=10"),
            ),
            (
                &["permessage-deflate; server_max_window_bits=\"12\""],
                Some("permessage-deflate; server_max_window_bits=12"),
            ),
            (
                &["permessage-deflate;server_no_context_takeover;client_no_context_takeover"],
                Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
            ),
            // The first is declined, the second is not; in one field or in two.
            (
                &["permessage-deflate; server_max_window_bits=8, permessage-deflate"],
                Some("permessage-deflate"),
            ),
            (&["permessage-deflate; unknown", "permessage-deflate"], Some("permessage-deflate")),
            (&["permessage-deflate; client_max_window_bits=16"], None),
            (&["permessage-deflate; client_max_window_bits=08"], None),
            (&["permessage-deflate; server_max_window_bits"], None),
            (&["permessage-deflate; server_no_context_takeover=1"], None),
            (&["permessage-deflate; client_max_window_bits; client_max_window_bits=9"], None),
            (&["permessage-deflate;"], None),
        ] {
            assert_eq!(answer(offers, true).as_deref(), expected, "{offers:?}");
        }
        let own = Some("permessage-deflate; server_no_context_takeover");
        assert_eq!(answer(&["permessage-deflate"], false).as_deref(), own);
    }
}
