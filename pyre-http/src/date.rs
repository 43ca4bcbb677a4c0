//! HTTP dates (RFC 9110 section 5.6.7) and those of logs (RFC 3339), by arithmetic alone.

/// How long an HTTP date is.
pub const DATE_BYTES: usize = 29;

/// The last second that has a date of this form: 31 December 9999, 23:59:59.
const SECONDS_MAX: u64 = 253_402_300_799;

/// The preferred form, as in `Sun, 06 Nov 1994 08:49:37 GMT`, of seconds since 1970.
///
/// Times after the year 9999 give its last second.
pub fn imf_fixdate(unix_seconds: u64) -> [u8; DATE_BYTES] {
    let seconds = unix_seconds.min(SECONDS_MAX);
    let days = seconds / 86_400;
    let (year, month, day) = civil(days);
    let second_of_day = seconds % 86_400;

    let mut text = *b"Thu, 00 Jan 0000 00:00:00 GMT";
    // 1 January 1970 was a Thursday.
    text[..3].copy_from_slice(&b"ThuFriSatSunMonTueWed"[(days % 7) as usize * 3..][..3]);
    two_digits(&mut text[5..7], day);
    text[8..11]
        .copy_from_slice(&b"JanFebMarAprMayJunJulAugSepOctNovDec"[(month as usize - 1) * 3..][..3]);
    two_digits(&mut text[12..14], year / 100);
    two_digits(&mut text[14..16], year % 100);
    two_digits(&mut text[17..19], second_of_day / 3_600);
    two_digits(&mut text[20..22], second_of_day / 60 % 60);
    two_digits(&mut text[23..25], second_of_day % 60);
    text
}

/// A time with its date as in `1994-11-06T08:49:37.000000Z` (RFC 3339), of microseconds since 1970.
///
/// Times after the year 9999 give its last second.
pub fn rfc3339(unix_us: u64) -> String {
    let seconds = (unix_us / 1_000_000).min(SECONDS_MAX);
    let (year, month, day) = civil(seconds / 86_400);
    let second_of_day = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
        second_of_day / 3_600,
        second_of_day / 60 % 60,
        second_of_day % 60,
        unix_us % 1_000_000,
    )
}

/// Year, month (1 to 12) and day of month of a day counted from 1 January 1970.
///
/// Years are counted from March, so that the leap day comes last and the lengths of the months
/// repeat every five: 153 days.
fn civil(days: u64) -> (u64, u64, u64) {
    let from_march_of_0 = days + 719_468;
    let era = from_march_of_0 / 146_097; // days in 400 years
    let day_of_era = from_march_of_0 % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) =
        if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    (era * 400 + year_of_era + next_year, month, day)
}

fn two_digits(text: &mut [u8], number: u64) {
    text[0] = b'0' + (number / 10) as u8;
    text[1] = b'0' + (number % 10) as u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_logs() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(rfc3339(784_111_777_000_042), "1994-11-06T08:49:37.000042Z");
        assert_eq!(rfc3339(951_827_696_999_999), "2000-02-29T12:34:56.999999Z");
        assert!(rfc3339(u64::MAX).starts_with("9999-12-31T23:59:59."));
    }

    fn check(unix_seconds: u64, expected: &str) {
        assert_eq!(str::from_utf8(&imf_fixdate(unix_seconds)).unwrap(), expected);
    }

    #[test]
    fn known_dates() {
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT");
        check(951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT");
        check(951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT");
        check(4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT");
        check(4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT");
        check(SECONDS_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
        check(u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=SECONDS_MAX / 86_400 {
            assert_eq!(civil(days), (year, month, day));
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let month_days = match month {
                2 => 28 + u64::from(is_leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > month_days {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
