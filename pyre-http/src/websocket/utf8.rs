//! UTF-8 that comes in pieces: wrong bytes are found as soon as they are there (RFC 6455 section 8.1).

/// How much of a character is at the end of what has come.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Utf8 {
    /// The first bytes of a character that is not whole.
    begun: [u8; 4],
    length: u8,
}

impl Utf8 {
    /// Whether the bytes can stand behind those that came before.
    pub(super) fn takes(&mut self, mut bytes: &[u8]) -> bool {
        while self.length > 0 {
            let Some((&next, rest)) = bytes.split_first() else { return true };
            self.begun[usize::from(self.length)] = next;
            self.length += 1;
            bytes = rest;
            match std::str::from_utf8(&self.begun[..usize::from(self.length)]) {
                Ok(_) => self.length = 0,
                // Three bytes may be not whole, four are wrong or whole.
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        let Err(error) = std::str::from_utf8(bytes) else { return true };
        if error.error_len().is_some() {
            return false;
        }
        let rest = &bytes[error.valid_up_to()..];
        self.begun[..rest.len()].copy_from_slice(rest);
        self.length = rest.len() as u8;
        true
    }

    /// Whether the text may end here; what comes next is another one.
    pub(super) fn ends(&mut self) -> bool {
        std::mem::take(&mut self.length) == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds the bytes in pieces; where they went wrong.
    fn refused_at(bytes: &[u8], piece: usize) -> Option<usize> {
        let mut text = Utf8::default();
        for (index, some) in bytes.chunks(piece).enumerate() {
            if !text.takes(some) {
                return Some(index * piece);
            }
        }
        (!text.ends()).then_some(bytes.len())
    }

    #[test]
    fn a_wrong_byte_is_found_when_it_comes() {
        for (bytes, at) in [
            (&b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"[..], 12),
            (b"\xf4\x90\x80\x80", 1),
            (b"\xf8", 0),
            (b"\xc0\xaf", 0),
            (b"\xe0\x80", 1),
            (b"a\x80", 1),
            (b"\xe2\x82a", 2),
        ] {
            assert_eq!(refused_at(bytes, 1), Some(at), "{bytes:x?}");
        }
        for bytes in [&b"\xe2\x82"[..], b"\xf0\x9f\x98", b"\xc3"] {
            assert_eq!(refused_at(bytes, 1), Some(bytes.len()), "it ends too early");
        }
    }

    proptest! {
        #[test]
        fn pieces_are_judged_as_the_whole(
            bytes in prop_oneof![
                any::<String>().prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..20),
                (any::<String>(), any::<u8>(), any::<usize>()).prop_map(|(text, byte, at)| {
                    let mut bytes = text.into_bytes();
                    let length = bytes.len().max(1);
                    if let Some(place) = bytes.get_mut(at % length) {
                        *place = byte;
                    }
                    bytes
                }),
            ],
            piece in 1_usize..6,
        ) {
            prop_assert_eq!(refused_at(&bytes, piece).is_none(), std::str::from_utf8(&bytes).is_ok());
        }
    }
}
