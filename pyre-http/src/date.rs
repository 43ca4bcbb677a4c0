//! HTTP dates (RFC 9110 section 5.6.7) and those of logs (RFC 3339), by arithmetic alone.

/// How long an HTTP date is.
pub const DATE_BYTES: usize = 29;

/// The last second that has a date of this form: 31 December 9999, 23:59:59.
const SECONDS_MAX: u64 = 253_402_300_799;

const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

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
    text[8..11].copy_from_slice(&MONTHS.as_bytes()[(month as usize - 1) * 3..][..3]);
    two_digits(&mut text[12..14], year / 100);
    two_digits(&mut text[14..16], year % 100);
    two_digits(&mut text[17..19], second_of_day / 3_600);
    two_digits(&mut text[20..22], second_of_day / 60 % 60);
    two_digits(&mut text[23..25], second_of_day % 60);
    text
}

/// Seconds since 1970 of a date in any of the three forms of RFC 9110 section 5.6.7; 0 for one before.
/// `now_s` says which century is meant by two digits.
pub fn parse(text: &[u8], now_s: u64) -> Option<u64> {
    let text = str::from_utf8(text).ok()?;
    // The name of the day is not looked at: no date is told from another by it.
    let (_, rest) = text.split_at_checked(text.find([' ', ','])?)?;
    let rest = rest.strip_prefix(',').unwrap_or(rest).strip_prefix(' ')?;
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<u64>().ok()).flatten()
    };
    let is_asctime = rest.starts_with(|first: char| first.is_ascii_alphabetic());
    let mut parts = if is_asctime { rest.splitn(3, ' ') } else { rest.splitn(2, ' ') };
    let (year, month, day, time) = if is_asctime {
        // "Nov  6 08:49:37 1994"
        let month = parts.next()?;
        let (day, behind) = rest.get(4..)?.split_at_checked(2)?;
        let (time, year) = behind.strip_prefix(' ')?.split_once(' ')?;
        (four(year, number)?, month, number(day.trim_start_matches(' '))?, time)
    } else if rest.as_bytes().get(2) == Some(&b'-') {
        // "06-Nov-94 08:49:37 GMT"
        let (date, time) = (parts.next()?, parts.next()?.strip_suffix(" GMT")?);
        let mut of_date = date.split('-');
        let (day, month, year) = (of_date.next()?, of_date.next()?, of_date.next()?);
        if year.len() != 2 || of_date.next().is_some() {
            return None;
        }
        let (this_year, ..) = civil(now_s.min(SECONDS_MAX) / 86_400);
        let year = this_year - this_year % 100 + number(year)?;
        // One that seems to be more than 50 years ahead is that of the century before.
        let year = if year > this_year + 50 { year - 100 } else { year };
        (year, month, number(day)?, time)
    } else {
        // "06 Nov 1994 08:49:37 GMT"
        let mut parts = rest.strip_suffix(" GMT")?.split(' ');
        let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
        let time = parts.next()?;
        if day.len() != 2 || parts.next().is_some() {
            return None;
        }
        (four(year, number)?, month, number(day)?, time)
    };
    let month = MONTHS.as_bytes().chunks(3).position(|name| name == month.as_bytes())? as u64 + 1;
    let mut of_time = time.split(':').map(|part| (part.len() == 2).then(|| number(part)).flatten());
    let (hour, minute, second) = (of_time.next()??, of_time.next()??, of_time.next()??);
    // A leap second counts as the one behind it.
    if of_time.next().is_some() || hour > 23 || minute > 59 || second > 60 || day > 31 || day == 0 {
        return None;
    }
    let days = days_of(year, month, day)?;
    if days >= 0 && civil(days as u64) != (year, month, day) {
        // The month has no such day.
        return None;
    }
    let seconds = days * 86_400 + (hour * 3_600 + minute * 60 + second) as i64;
    Some(u64::try_from(seconds).unwrap_or(0))
}

/// A year of four digits.
fn four(year: &str, number: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    if year.len() == 4 { number(year) } else { None }
}

/// The day of a date, counted from 1 January 1970: the way back from [`civil`].
fn days_of(year: u64, month: u64, day: u64) -> Option<i64> {
    let year = i64::try_from(year).ok()? - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month as i64 + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day as i64 - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
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
    fn all_forms_are_read() {
        const NOW_S: u64 = 1_800_000_000; // in 2027
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Sun Nov 16 08:49:37 1994", Some(784_975_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Wed, 31 Dec 1969 23:59:59 GMT", Some(0)),
            ("Mon, 01 Jan 0001 00:00:00 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(SECONDS_MAX)),
            ("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_800)),
            ("Thu, 29 Feb 2024 00:00:00 GMT", Some(1_709_164_800)),
            ("Wed, 29 Feb 2023 00:00:00 GMT", None),
            ("Friday, 01-Jan-77 00:00:00 GMT", Some(3_376_684_800)),
            ("Sunday, 01-Jan-78 00:00:00 GMT", Some(252_460_800)),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 94 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 06 nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 24:00:00 GMT", None),
            ("Sun, 06 Nov 1994 08:60:00 GMT", None),
            ("Sun, 06 Nov 1994 8:49:37 GMT", None),
            ("Sun, 00 Nov 1994 08:49:37 GMT", None),
            ("Sun, +6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT GMT", None),
            ("Sun Nov  6 08:49:37 1994 GMT", None),
            ("784111777", None),
            ("", None),
            ("Sun,", None),
            ("Sun, \u{e9}", None),
        ] {
            assert_eq!(parse(text.as_bytes(), NOW_S), expected, "{text:?}");
        }
        assert_eq!(parse(b"\xff, 06 Nov 1994 08:49:37 GMT", NOW_S), None);
    }

    #[test]
    fn what_is_written_is_read() {
        for unix_seconds in (0..=SECONDS_MAX).step_by(86_400 * 13 + 12_345) {
            assert_eq!(parse(&imf_fixdate(unix_seconds), 0), Some(unix_seconds));
        }
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
