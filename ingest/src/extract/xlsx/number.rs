//! Shows numbers as a spreadsheet does: dates as dates, percentages, decimals, thousands and units.
//! Never tells a colour, and knows no language: dates are ISO 8601, the point is a point.

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, date};

/// Numbers from this on, and below its inverse, are shown with an exponent.
const LARGEST_PLAIN: f64 = 1e15;
/// A spreadsheet's numbers have this many digits; what follows is noise of binary fractions.
const NOISE_FREE_DIGITS: usize = 15;
/// Decimals that a format can ask for.
const MOST_DECIMALS: usize = 30;

/// How numbers of a cell are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    /// As they are.
    General,
    /// As days since the epoch.
    Date {
        /// Whether the day is shown.
        has_day: bool,
        /// Whether the time is shown.
        has_time: bool,
    },
    /// With these decimals.
    Decimal { decimals: usize, has_thousands: bool, is_percent: bool, prefix: String, suffix: String },
}

impl Format {
    /// What cells without a format have.
    pub(super) const GENERAL: Self = Self::General;

    /// Reads a format code; what it says of negative numbers and of zero is ignored.
    pub(super) fn parse(code: &str) -> Self {
        let mut parts = Parts::default();
        parts.read(code);
        if parts.has(Mark::Day) || parts.has(Mark::Time) {
            return Self::Date { has_day: parts.has(Mark::Day), has_time: parts.has(Mark::Time) };
        }
        if !parts.has(Mark::Digit) || parts.has(Mark::Odd) {
            return Self::General;
        }
        Self::Decimal {
            decimals: parts.decimals.min(MOST_DECIMALS),
            has_thousands: parts.has(Mark::Thousands),
            is_percent: parts.has(Mark::Percent),
            prefix: parts.prefix,
            suffix: parts.suffix,
        }
    }

    /// The number as it is shown.
    pub(super) fn show(&self, number: f64, from_1904: bool) -> String {
        match self {
            Self::Date { has_day, has_time } => {
                shown_date(number, from_1904, *has_day, *has_time).unwrap_or_else(|| plain(number))
            }
            Self::Decimal { decimals, has_thousands, is_percent, prefix, suffix }
                if number.abs() < LARGEST_PLAIN =>
            {
                let number = if *is_percent { number * 100.0 } else { number };
                let digits = format!("{:.decimals$}", without_noise(number.abs()));
                let digits = if *has_thousands { grouped(&digits) } else { digits };
                let sign = if number < 0.0 && digits.bytes().any(|b| b.is_ascii_digit() && b != b'0') {
                    "-"
                } else {
                    ""
                };
                format!("{sign}{prefix}{digits}{suffix}")
            }
            _ => plain(number),
        }
    }
}

/// The format code that a file does not state because all know it.
pub(super) fn built_in(id: u32) -> &'static str {
    match id {
        1 => "0",
        2 => "0.00",
        3 | 37 | 38 => "#,##0",
        4 | 39 | 40 => "#,##0.00",
        9 => "0%",
        10 => "0.00%",
        14..=17 | 27..=31 | 36 | 50..=54 | 57..=58 => "yyyy-mm-dd",
        18..=21 | 32..=35 | 45..=47 | 55..=56 => "h:mm:ss",
        22 => "yyyy-mm-dd h:mm",
        _ => "General",
    }
}

/// What occurs in a format code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Day,
    Time,
    Digit,
    Thousands,
    Percent,
    Point,
    /// Fractions, exponents and scaling: shown as plain numbers.
    Odd,
}

#[derive(Debug, Default)]
struct Parts {
    marks: BTreeSet<Mark>,
    decimals: usize,
    prefix: String,
    suffix: String,
}

impl Parts {
    fn mark(&mut self, mark: Mark) {
        self.marks.insert(mark);
    }

    fn has(&self, mark: Mark) -> bool {
        self.marks.contains(&mark)
    }

    fn read(&mut self, code: &str) {
        if code.eq_ignore_ascii_case("general") {
            return;
        }
        let mut rest = code.chars();
        while let Some(c) = rest.next() {
            match c {
                ';' => break,
                '"' => self.literal(&rest.by_ref().take_while(|c| *c != '"').collect::<String>()),
                '\\' => self.literal(&rest.next().map(String::from).unwrap_or_default()),
                '_' => {
                    rest.next();
                    self.literal(" ");
                }
                '*' => {
                    rest.next();
                }
                '[' => self.bracket(&rest.by_ref().take_while(|c| *c != ']').collect::<String>()),
                'y' | 'Y' | 'd' | 'D' => self.mark(Mark::Day),
                'h' | 'H' | 's' | 'S' => self.mark(Mark::Time),
                'm' | 'M' if !self.has(Mark::Time) => self.mark(Mark::Day),
                '0' | '#' | '?' => self.digit(c),
                ',' => self.mark(Mark::Thousands),
                '.' => self.mark(Mark::Point),
                '%' => {
                    self.mark(Mark::Percent);
                    self.literal("%");
                }
                'E' | 'e' | '/' | '@' => self.mark(Mark::Odd),
                '$' | '€' | '£' | '¥' | ' ' | '-' | '+' | '(' | ')' | ':' => self.literal(&c.to_string()),
                _ => {}
            }
        }
        // `mm:ss` is minutes, `mm` alone a month.
        if self.has(Mark::Time) && !code.contains(['y', 'Y', 'd', 'D']) {
            self.marks.remove(&Mark::Day);
        }
        self.prefix = self.prefix.trim_start_matches([' ', '(']).to_owned();
        self.suffix = self.suffix.trim_end_matches([' ', ')']).to_owned();
    }

    fn digit(&mut self, c: char) {
        self.mark(Mark::Digit);
        self.decimals += usize::from(self.has(Mark::Point) && c != '#');
    }

    /// A currency (`[$€-407]`), hours beyond a day (`[h]`), a colour or a condition.
    fn bracket(&mut self, inner: &str) {
        if let Some(currency) = inner.strip_prefix('$') {
            self.literal(currency.split('-').next().unwrap_or_default());
        } else if matches!(inner, "h" | "hh" | "m" | "mm" | "s" | "ss") {
            self.mark(Mark::Odd);
        }
    }

    fn literal(&mut self, text: &str) {
        let side = if self.has(Mark::Digit) { &mut self.suffix } else { &mut self.prefix };
        side.push_str(text);
    }
}

fn plain(number: f64) -> String {
    let clean = without_noise(number);
    let size = clean.abs();
    if clean == 0.0 {
        "0".to_owned()
    } else if (LARGEST_PLAIN.recip()..LARGEST_PLAIN).contains(&size) {
        clean.to_string()
    } else {
        format!("{clean:e}")
    }
}

fn without_noise(number: f64) -> f64 {
    format!("{:.*e}", NOISE_FREE_DIGITS - 1, number).parse().unwrap_or(number)
}

fn grouped(digits: &str) -> String {
    let (whole, fraction) =
        digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    fraction.map_or_else(|| grouped.clone(), |fraction| format!("{grouped}.{fraction}"))
}

fn shown_date(number: f64, from_1904: bool, has_day: bool, has_time: bool) -> Option<String> {
    const SECONDS_OF_DAY: f64 = 86_400.0;
    if !(0.0..3_000_000.0).contains(&number) {
        return None;
    }
    let seconds: i64 = format!("{:.0}", number * SECONDS_OF_DAY).parse().ok()?;
    let day: i64 = seconds.div_euclid(86_400);
    let time: DateTime =
        epoch(day, from_1904).at(0, 0, 0, 0).checked_add((seconds.rem_euclid(86_400)).seconds()).ok()?;
    let time = time.checked_add(day.days()).ok()?;
    Some(match (has_day, has_time) {
        (true, false) => time.date().to_string(),
        (false, _) => time.time().to_string(),
        (true, true) => format!("{} {}", time.date(), time.time()),
    })
}

/// Day 60 is a 29 February 1900 that never was: days before it are counted from one day later.
fn epoch(day: i64, from_1904: bool) -> Date {
    match (from_1904, day < 60) {
        (true, _) => date(1904, 1, 1),
        (false, true) => date(1899, 12, 31),
        (false, false) => date(1899, 12, 30),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_their_format_says() {
        for (code, number, shown) in [
            ("General", 0.1 + 0.2, "0.3"),
            ("General", 1e21, "1e21"),
            ("General", -12.5, "-12.5"),
            ("0", 2.5, "2"),
            ("0.00", -0.001, "0.00"),
            ("#,##0", 1_234_567.0, "1,234,567"),
            ("0.0%", 0.125, "12.5%"),
            ("[$€-407]#,##0.00;[Red]-[$€-407]#,##0.00", -1_000.0, "-€1,000.00"),
            ("0.00E+00", 12_345.0, "12345"),
            ("# ?/?", 0.5, "0.5"),
            ("@", 7.0, "7"),
            ("_(* #,##0.00_);_(* (#,##0.00)", 5.0, "5.00"),
        ] {
            assert_eq!(Format::parse(code).show(number, false), shown, "{code}");
        }
    }

    #[test]
    fn days_are_dates() {
        for (code, number, from_1904, shown) in [
            ("dd/mm/yyyy", 45_352.0, false, "2024-03-01"),
            ("d-mmm", 1.0, false, "1900-01-01"),
            ("yyyy-mm-dd", 0.0, true, "1904-01-01"),
            ("yyyy\\-mm\\-dd hh:mm", 45_352.75, false, "2024-03-01 18:00:00"),
            ("h:mm AM/PM", 0.5, false, "12:00:00"),
            ("mm:ss", 0.5, false, "12:00:00"),
            ("yyyy", -1.0, false, "-1"),
        ] {
            assert_eq!(Format::parse(code).show(number, from_1904), shown, "{code}");
        }
    }
}
