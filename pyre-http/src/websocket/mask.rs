//! The mask of what a client sends (RFC 6455 section 5.3). Hot path.

/// Masks or unmasks in place, eight bytes at a time; `offset` bytes of the payload came before.
pub(super) fn apply(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let mut turned = key;
    turned.rotate_left(offset % 4);
    let word = u64::from(u32::from_ne_bytes(turned));
    let word = word << 32 | word;
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for eight in words {
        *eight = (u64::from_ne_bytes(*eight) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(word.to_ne_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_byte_has_its_part_of_the_key(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            key: [u8; 4],
            cut in 0_usize..100,
        ) {
            let expected: Vec<u8> =
                bytes.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect();
            let mut found = bytes.clone();
            let cut = cut.min(bytes.len());
            let (first, second) = found.split_at_mut(cut);
            apply(first, key, 0);
            apply(second, key, cut);
            prop_assert_eq!(found, expected);
        }
    }
}
