//! Functions of dates, in UTC.
//!
//! Input: seconds since the Unix epoch. Output: parts of the date. Invariant: the calendar is the
//! Gregorian one, without leap seconds. After H. Hinnant, "chrono-Compatible Low-Level Date
//! Algorithms" (2013).

use crate::error::Result;
use crate::eval::{Column, Grid, Row, Run, seconds};
use crate::syntax::Call;

/// A part of the date at so many seconds since the Unix epoch.
pub(crate) type DateFunction = fn(i64) -> i64;

/// The function of this name.
pub(crate) fn of_time(name: &str) -> Option<DateFunction> {
    Some(match name {
        "minute" => |time| time.rem_euclid(3600) / 60,
        "hour" => |time| time.rem_euclid(86_400) / 3600,
        "day_of_week" => |time| (days(time) + 4).rem_euclid(7),
        "day_of_month" => |time| civil(days(time)).2,
        "day_of_year" => |time| {
            let day = days(time);
            day - days_from_civil(civil(day).0, 1, 1) + 1
        },
        "days_in_month" => |time| {
            let (year, month, _) = civil(days(time));
            let (next_year, next) = match month {
                12 => (year + 1, 1),
                _ => (year, month + 1),
            };
            days_from_civil(next_year, next, 1) - days_from_civil(year, month, 1)
        },
        "month" => |time| civil(days(time)).1,
        "year" => |time| civil(days(time)).0,
        _ => return None,
    })
}

impl Run<'_> {
    /// A function of a date, of the values of a vector or of the times of the grid.
    pub(crate) fn date(
        &self,
        call: &Call,
        grid: &Grid,
        function: DateFunction,
    ) -> Result<Vec<Row>> {
        // Dates further away than any calendar are taken for the last one.
        let of = |value: f64| function((value as i64).clamp(-LAST_SECOND, LAST_SECOND)) as f64;
        match call.args.first() {
            Some(arg) => self.map_floats(self.vector(arg, grid)?, of),
            None => Ok(vec![Row {
                labels: treering::Labels::empty(),
                drop_name: false,
                column: Column::of_floats(grid.times().map(|time| of(seconds(time))).collect()),
            }]),
        }
    }
}

/// Far enough for every calendar, near enough for every sum.
const LAST_SECOND: i64 = 1 << 60;

fn days(time: i64) -> i64 {
    time.div_euclid(86_400)
}

/// Year, month and day of a day counted from the Unix epoch.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

/// The day, counted from the Unix epoch, of a date.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str, time: i64) -> i64 {
        of_time(name).unwrap()(time)
    }

    #[test]
    fn dates_go_both_ways() {
        for day in (-800_000..800_000).step_by(17) {
            let (year, month, of_month) = civil(day);
            assert_eq!(days_from_civil(year, month, of_month), day);
        }
    }

    #[test]
    fn parts_of_known_dates() {
        // 2024-02-29 13:37:42, a Thursday.
        let time = 1_709_213_862;
        let parts = ["year", "month", "day_of_month", "hour", "minute"].map(|name| at(name, time));
        assert_eq!(parts, [2024, 2, 29, 13, 37]);
        assert_eq!(at("day_of_week", time), 4);
        assert_eq!(at("day_of_year", time), 60);
        assert_eq!(at("days_in_month", time), 29);
        // 1969-12-31 23:59:59.
        assert_eq!(at("year", -1), 1969);
        assert_eq!(at("day_of_year", -1), 365);
        assert_eq!(at("minute", -1), 59);
        for name in ["year", "day_of_year", "days_in_month"] {
            at(name, LAST_SECOND);
            at(name, -LAST_SECOND);
        }
    }
}
