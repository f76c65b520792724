//! Charts of series over time, drawn with braille patterns.
//!
//! Input: series, the room there is. Output: lines of text: for each series its labels, then rows
//! between two bounds that all series share. Each character has two by four dots (Unicode, block
//! "Braille Patterns"). Invariant: no line is wider than the room.

use std::fmt::Write as _;

use treering_promql::{ResultSeries, SampleValue};
use treering_server::number::push_float;
use treering_server::times::to_rfc3339;

/// Series that are drawn; the others are counted.
const MOST_SERIES: usize = 12;

/// The room of one chart, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    columns: usize,
    rows: usize,
}

impl Frame {
    /// What so many columns of a terminal leave to each of so many series.
    pub(crate) fn of(columns: usize, series: usize) -> Self {
        Self {
            columns: columns.clamp(64, 400),
            rows: if series > 1 { 4 } else { 10 },
        }
    }
}

/// The smallest and the largest of what is drawn, in time and value.
#[derive(Debug, Clone, Copy)]
struct Extent {
    start: i64,
    end: i64,
    low: f64,
    high: f64,
}

/// Draws series one below the other. Samples further apart than `step` are not joined.
pub(crate) fn draw(series: &[ResultSeries], step: Option<i64>, frame: Frame) -> String {
    let Some(extent) = Extent::of(series) else {
        return "nothing to draw: no series has a number\n".to_owned();
    };
    let mut bounds = [String::new(), String::new()];
    push_float(&mut bounds[0], extent.high);
    push_float(&mut bounds[1], extent.low);
    let margin = bounds.iter().map(String::len).max().unwrap_or(0);
    let width = frame.columns.saturating_sub(margin + 2).max(8);
    let mut out = String::new();
    for one in series.iter().take(MOST_SERIES) {
        let labels: String = one.labels.to_string().chars().take(frame.columns).collect();
        out.push_str(&labels);
        out.push('\n');
        let mut dots = Dots::new(width, frame.rows);
        dots.line(one, &extent, step);
        for row in 0..frame.rows {
            let bound = match row {
                0 => &bounds[0],
                _ if row + 1 == frame.rows => &bounds[1],
                _ => "",
            };
            let _ = writeln!(out, "{bound:>margin$} |{}", dots.row(row).trim_end());
        }
    }
    let (from, to) = (to_rfc3339(extent.start), to_rfc3339(extent.end));
    // Below the dots, where there is room for both.
    let both = from.len() + to.len() + 1;
    let indent = (margin + 2).min(frame.columns.saturating_sub(both));
    let between = frame.columns.saturating_sub(indent + from.len());
    let _ = writeln!(out, "{:indent$}{from}{to:>between$}", "");
    if let Some(more) = series
        .len()
        .checked_sub(MOST_SERIES)
        .filter(|more| *more > 0)
    {
        let _ = writeln!(out, "and {more} more series");
    }
    out
}

impl Extent {
    fn of(series: &[ResultSeries]) -> Option<Self> {
        let mut numbers = series
            .iter()
            .take(MOST_SERIES)
            .flat_map(|one| one.samples.iter().filter_map(number));
        let (time, value) = numbers.next()?;
        let first = Self {
            start: time,
            end: time,
            low: value,
            high: value,
        };
        Some(numbers.fold(first, |extent, (time, value)| Self {
            start: extent.start.min(time),
            end: extent.end.max(time),
            low: extent.low.min(value),
            high: extent.high.max(value),
        }))
    }
}

/// A sample that can be drawn.
fn number((time, value): &(i64, SampleValue)) -> Option<(i64, f64)> {
    match value {
        SampleValue::Float(value) if value.is_finite() => Some((*time, *value)),
        _ => None,
    }
}

/// Dots, two by four to a character.
#[derive(Debug)]
struct Dots {
    width: usize,
    height: usize,
    /// For each character which of its dots are set.
    cells: Vec<u8>,
}

impl Dots {
    fn new(columns: usize, rows: usize) -> Self {
        Self {
            width: columns * 2,
            height: rows * 4,
            cells: vec![0; columns * rows],
        }
    }

    fn line(&mut self, series: &ResultSeries, extent: &Extent, step: Option<i64>) {
        let mut before: Option<(i64, usize, usize)> = None;
        for sample in &series.samples {
            let Some((time, value)) = number(sample) else {
                before = None;
                continue;
            };
            let (x, y) = self.place(time, value, extent);
            match before {
                Some((last, from_x, from_y))
                    if step.is_none_or(|step| time.saturating_sub(last) <= step) =>
                {
                    self.join((from_x, from_y), (x, y));
                }
                _ => self.set(x, y),
            }
            before = Some((time, x, y));
        }
    }

    /// The dot of a sample, from the upper left.
    fn place(&self, time: i64, value: f64, extent: &Extent) -> (usize, usize) {
        let span = extent.end.saturating_sub(extent.start) as f64;
        let passed = time.saturating_sub(extent.start) as f64;
        // Halves, so that the difference of the largest numbers is one too.
        let height = extent.high / 2.0 - extent.low / 2.0;
        let below = extent.high / 2.0 - value / 2.0;
        let part = |of: f64, whole: f64, otherwise: f64| match whole > 0.0 {
            true => (of / whole).clamp(0.0, 1.0),
            false => otherwise,
        };
        let dots = |part: f64, dots: usize| (part * dots.saturating_sub(1) as f64).round() as usize;
        let (across, down) = (part(passed, span, 0.0), part(below, height, 0.5));
        (dots(across, self.width), dots(down, self.height))
    }

    /// Sets the dots of a straight line.
    fn join(&mut self, (x0, y0): (usize, usize), (x1, y1): (usize, usize)) {
        let count = x0.abs_diff(x1).max(y0.abs_diff(y1)).max(1);
        let between = |from: usize, to: usize, part: f64| {
            (from as f64 + (to as f64 - from as f64) * part).round() as usize
        };
        for at in 0..=count {
            let part = at as f64 / count as f64;
            self.set(between(x0, x1, part), between(y0, y1, part));
        }
    }

    fn set(&mut self, x: usize, y: usize) {
        let at = y / 4 * (self.width / 2) + x / 2;
        if let Some(cell) = self.cells.get_mut(at) {
            *cell |= dot(x % 2, y % 4);
        }
    }

    fn row(&self, row: usize) -> String {
        let columns = self.width / 2;
        let cells = self.cells.iter().skip(row * columns).take(columns);
        let character = |cell: &u8| match cell {
            0 => ' ',
            dots => char::from_u32(BRAILLE + u32::from(*dots)).unwrap_or(' '),
        };
        cells.map(character).collect()
    }
}

/// The bit of a dot: the two columns are numbered 1, 2, 3, 7 and 4, 5, 6, 8 from above.
fn dot(x: usize, y: usize) -> u8 {
    match (x, y) {
        (0, 3) => 0x40,
        (_, 3) => 0x80,
        (0, y) => 1 << y,
        (_, y) => 8 << y,
    }
}

/// The pattern without any dot.
const BRAILLE: u32 = 0x2800;

#[cfg(test)]
mod tests {
    use super::*;
    use treering::labels;

    fn series(host: &str, values: &[f64]) -> ResultSeries {
        let samples = (0..).zip(values);
        ResultSeries {
            labels: labels! { "__name__" => "load", "host" => host },
            samples: samples
                .map(|(at, value)| (at * 1_000_000_000, SampleValue::Float(*value)))
                .collect(),
        }
    }

    #[test]
    fn a_rising_line_goes_from_the_lower_left_to_the_upper_right() {
        let values: Vec<f64> = (0..50).map(f64::from).collect();
        let frame = Frame::of(64, 1);
        let text = draw(&[series("a", &values)], Some(1_000_000_000), frame);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 12, "{text}");
        assert_eq!(lines[0], "load{host=\"a\"}");
        assert!(
            lines[1].starts_with("49 |") && lines[10].starts_with(" 0 |"),
            "{text}"
        );
        let place = |line: &str| line.chars().position(|c| c as u32 > BRAILLE);
        let places: Vec<_> = lines[1..11].iter().map(|line| place(line)).collect();
        assert!(
            places.is_sorted_by(|a, b| a > b) && places[9] == Some(4),
            "{text}"
        );
        assert!(
            lines.iter().all(|line| line.chars().count() <= 64),
            "{text}"
        );
    }

    #[test]
    fn gaps_are_not_joined_and_numbers_that_are_none_are_left_out() {
        let mut one = series("a", &[1.0, 1.0, 1.0, f64::NAN, f64::INFINITY, 1.0]);
        one.samples[2].0 = 1_500_000_000;
        let mut dots = Dots::new(20, 1);
        let extent = Extent::of(std::slice::from_ref(&one)).unwrap();
        assert_eq!((extent.low, extent.high), (1.0, 1.0));
        dots.line(&one, &extent, Some(1_000_000_000));
        let row: Vec<char> = dots.row(0).chars().collect();
        assert!(row[3] != ' ' && row[8] == ' ' && row[19] != ' ', "{row:?}");
        assert_eq!(
            draw(&[], None, Frame::of(80, 0)),
            "nothing to draw: no series has a number\n"
        );
    }

    #[test]
    fn many_series_share_their_bounds_and_the_rest_is_counted() {
        let all: Vec<_> = (0..15)
            .map(|at| series("a", &[f64::from(at), f64::MAX]))
            .collect();
        let text = draw(&all, None, Frame::of(80, all.len()));
        assert!(text.ends_with("and 3 more series\n"), "{text}");
        assert_eq!(text.lines().count(), 12 * 5 + 2);
    }
}
