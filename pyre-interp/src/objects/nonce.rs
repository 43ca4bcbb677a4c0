//! Nonces of policies: by chance, so that nobody can know one before.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pyre_http::security::Nonce;

/// A new one; none if the system has no random numbers.
///
/// 144 bits, where Content Security Policy Level 3 (section 7.1) asks for 128 at least: so none of the characters
/// is only there to fill up.
pub(crate) fn made() -> Option<Nonce> {
    let mut random = [0; 18];
    getrandom::fill(&mut random).ok()?;
    let mut nonce = [0; 24];
    let written = STANDARD.encode_slice(random, &mut nonce);
    assert_eq!(written, Ok(nonce.len()), "18 bytes are 24 characters");
    Some(nonce)
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_are_the_same() {
        let (a, b) = (super::made().unwrap(), super::made().unwrap());
        assert_ne!(a, b);
        assert!(a.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(byte)));
    }
}
