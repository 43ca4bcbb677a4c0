//! Which parts of a file are asked for (RFC 9110 section 14).

/// Parts that are looked at in one request; of more the whole file is sent (section 14.2 allows to ignore
/// many small ranges).
pub const RANGES_MAX: usize = 16;

/// Parts that lie closer together, in bytes, are sent as one: what frames each would be longer
/// (section 15.3.7.2).
const GAP_BYTES_MAX: u64 = 80;

/// What a `Range` asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ranges {
    /// It is none of bytes, cannot be read or asks for too much: the whole file is sent.
    Ignored,
    /// None of it is there: 416.
    Unsatisfiable,
    /// Where each begins and how long it is, in the order in which they were asked for. None of them is empty,
    /// and no two overlap.
    These(Vec<(u64, u64)>),
}

/// Reads a `Range` for a file of this size.
#[must_use]
pub fn read(value: &[u8], size: u64) -> Ranges {
    let Some((unit, set)) = value.split_at_checked(6) else { return Ranges::Ignored };
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return Ranges::Ignored;
    }
    let mut found: Vec<(u64, u64)> = Vec::new();
    let mut count = 0;
    for element in set.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        if element.is_empty() {
            // RFC 9110 section 5.6.1.2.
            continue;
        }
        count += 1;
        if count > RANGES_MAX {
            return Ranges::Ignored;
        }
        match read_one(element, size) {
            Err(NotReadable) => return Ranges::Ignored,
            Ok(None) => {}
            Ok(Some(range)) => add(&mut found, range),
        }
    }
    match found.len() {
        _ if count == 0 => Ranges::Ignored,
        0 => Ranges::Unsatisfiable,
        _ => Ranges::These(found),
    }
}

struct NotReadable;

/// First byte and length of one range; nothing if no byte of it is there.
fn read_one(element: &[u8], size: u64) -> Result<Option<(u64, u64)>, NotReadable> {
    let dash = memchr::memchr(b'-', element).ok_or(NotReadable)?;
    let (first, last) = (&element[..dash], &element[dash + 1..]);
    if first.is_empty() {
        let bytes = number(last)?.min(size);
        return Ok((bytes > 0).then_some((size - bytes, bytes)));
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return Err(NotReadable);
    }
    let end = last.saturating_add(1).min(size);
    Ok((first < size).then(|| (first, end - first)))
}

/// A number of digits alone; one that is too large for any file counts as the largest.
fn number(digits: &[u8]) -> Result<u64, NotReadable> {
    if digits.is_empty() {
        return Err(NotReadable);
    }
    digits.iter().try_fold(0_u64, |sum, &digit| {
        let digit = char::from(digit).to_digit(10).ok_or(NotReadable)?;
        Ok(sum.saturating_mul(10).saturating_add(u64::from(digit)))
    })
}

/// Adds a range, as one with all that it touches, in the place of the first of those.
fn add(found: &mut Vec<(u64, u64)>, (mut first, mut bytes): (u64, u64)) {
    let mut place = None;
    while let Some(index) = found.iter().position(|&(other, length)| {
        first <= other.saturating_add(length).saturating_add(GAP_BYTES_MAX)
            && other <= first.saturating_add(bytes).saturating_add(GAP_BYTES_MAX)
    }) {
        let (other, length) = found.remove(index);
        let end = (first + bytes).max(other + length);
        first = first.min(other);
        bytes = end - first;
        place = Some(place.map_or(index, |place: usize| place.min(index)));
    }
    found.insert(place.unwrap_or(found.len()), (first, bytes));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn these(ranges: &[(u64, u64)]) -> Ranges {
        Ranges::These(ranges.to_vec())
    }

    #[test]
    fn one() {
        for (value, expected) in [
            ("bytes=0-0", these(&[(0, 1)])),
            ("bytes=0-999", these(&[(0, 1000)])),
            ("bytes=0-", these(&[(0, 1000)])),
            ("bytes=0-99999999999999999999999", these(&[(0, 1000)])),
            ("bytes=999-", these(&[(999, 1)])),
            ("bytes=10-19", these(&[(10, 10)])),
            ("Bytes=10-19", these(&[(10, 10)])),
            ("bytes= 10-19 ", these(&[(10, 10)])),
            ("bytes=-1", these(&[(999, 1)])),
            ("bytes=-1000", these(&[(0, 1000)])),
            ("bytes=-5000", these(&[(0, 1000)])),
            ("bytes=,10-19,,", these(&[(10, 10)])),
            ("bytes=1000-", Ranges::Unsatisfiable),
            ("bytes=1000-1001", Ranges::Unsatisfiable),
            ("bytes=-0", Ranges::Unsatisfiable),
            ("bytes=2000-,-0", Ranges::Unsatisfiable),
            ("bytes=20-10", Ranges::Ignored),
            ("bytes=", Ranges::Ignored),
            ("bytes", Ranges::Ignored),
            ("bytes=,", Ranges::Ignored),
            ("bytes=-", Ranges::Ignored),
            ("bytes=a-b", Ranges::Ignored),
            ("bytes=1 - 2", Ranges::Ignored),
            ("bytes=+1-2", Ranges::Ignored),
            ("bytes=1--2", Ranges::Ignored),
            ("bytes =0-1", Ranges::Ignored),
            ("lines=0-1", Ranges::Ignored),
            ("bytes=0-1;2-3", Ranges::Ignored),
            ("", Ranges::Ignored),
        ] {
            assert_eq!(read(value.as_bytes(), 1000), expected, "{value:?}");
        }
        assert_eq!(read(b"bytes=0-", 0), Ranges::Unsatisfiable);
        assert_eq!(read(b"bytes=-1", 0), Ranges::Unsatisfiable);
    }

    #[test]
    fn several() {
        for (value, expected) in [
            ("bytes=0-0,500-500", these(&[(0, 1), (500, 1)])),
            ("bytes=500-500,0-0", these(&[(500, 1), (0, 1)])),
            ("bytes=0-0,-1", these(&[(0, 1), (999, 1)])),
            ("bytes=0-0,2000-", these(&[(0, 1)])),
            // Together, as what frames a part is longer than what lies between.
            ("bytes=0-9,10-19", these(&[(0, 20)])),
            ("bytes=0-9,50-59", these(&[(0, 60)])),
            ("bytes=0-9,91-99", these(&[(0, 10), (91, 9)])),
            ("bytes=0-500,400-999", these(&[(0, 1000)])),
            ("bytes=0-0,900-,0-,0-", these(&[(0, 1000)])),
            // The third one joins the first two.
            ("bytes=0-9,200-209,5-250", these(&[(0, 251)])),
            ("bytes=0-9,20-10", Ranges::Ignored),
        ] {
            assert_eq!(read(value.as_bytes(), 1000), expected, "{value:?}");
        }
        let many = |count: usize| format!("bytes={}", vec!["0-0"; count].join(","));
        assert_eq!(read(many(RANGES_MAX).as_bytes(), 1000), these(&[(0, 1)]));
        assert_eq!(read(many(RANGES_MAX + 1).as_bytes(), 1000), Ranges::Ignored);
    }

    proptest! {
        #[test]
        fn they_lie_in_the_file_apart_from_each_other_and_have_all_that_was_asked_for(
            size in 0..2_000_u64,
            asked in prop::collection::vec((0..2_500_u64, 0..600_u64), 1..RANGES_MAX),
        ) {
            let text: Vec<_> =
                asked.iter().map(|(first, more)| format!("{first}-{}", first + more)).collect();
            let found = match read(format!("bytes={}", text.join(", ")).as_bytes(), size) {
                Ranges::These(found) => found,
                Ranges::Unsatisfiable => Vec::new(),
                Ranges::Ignored => panic!("all can be read"),
            };
            let mut has = vec![0; usize::try_from(size).unwrap()];
            for &(first, bytes) in &found {
                prop_assert!(bytes > 0 && first + bytes <= size);
                for at in first..first + bytes {
                    has[usize::try_from(at).unwrap()] += 1;
                }
            }
            prop_assert!(has.iter().all(|&count| count <= 1));
            for (first, more) in asked {
                for at in first..(first + more + 1).min(size) {
                    prop_assert_eq!(has[usize::try_from(at).unwrap()], 1);
                }
            }
        }
    }
}
