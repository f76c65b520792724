//! A chart of grouped bars over a logarithmic scale, as SVG.
//!
//! Input: groups, and for each kind of bar a name, a colour and a value per group, if any. Output:
//! the text of a picture that needs nothing but a viewer: light background, lines at powers of ten,
//! a legend, the values of the first kind above its bars.

use std::fmt::Write;

const WIDTH: f64 = 1100.0;
const HEIGHT: f64 = 520.0;
/// The box of the bars: left, top, right, bottom.
const BOX: [f64; 4] = [64.0, 96.0, 1084.0, 452.0];
/// The part of a group that its bars take.
const FILLED: f64 = 0.84;

/// One kind of bar.
#[derive(Debug, Clone)]
pub(crate) struct Bars {
    pub(crate) name: String,
    pub(crate) colour: &'static str,
    /// One for each group; nothing is drawn for what is not above 0.
    pub(crate) values: Vec<Option<f64>>,
}

/// A whole picture.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) remark: String,
    pub(crate) groups: Vec<String>,
    pub(crate) bars: Vec<Bars>,
}

impl Chart {
    /// The text of the file.
    pub(crate) fn svg(&self) -> String {
        let mut to = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"Helvetica, Arial, sans-serif\" \
             role=\"img\">\n<title>{}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
            escape(&self.title)
        );
        text(&mut to, [BOX[0], 28.0], 18, "start", "#1f2933", &self.title);
        text(
            &mut to,
            [BOX[0], 50.0],
            12,
            "start",
            "#52606d",
            &self.remark,
        );
        self.legend(&mut to);
        let scale = Scale::of(self.bars.iter().flat_map(|bars| &bars.values).flatten());
        scale.lines(&mut to);
        self.groups(&mut to, &scale);
        to.push_str("</svg>\n");
        to
    }

    fn legend(&self, to: &mut String) {
        let mut at = BOX[0];
        for bars in &self.bars {
            rect(to, [at, 66.0, 12.0, 12.0], bars.colour, &bars.name);
            text(to, [at + 17.0, 76.5], 12, "start", "#1f2933", &bars.name);
            at += 42.0 + 7.0 * bars.name.chars().count() as f64;
        }
    }

    fn groups(&self, to: &mut String, scale: &Scale) {
        let group = (BOX[2] - BOX[0]) / self.groups.len().max(1) as f64;
        let bar = group * FILLED / self.bars.len().max(1) as f64;
        for (number, name) in self.groups.iter().enumerate() {
            let left = BOX[0] + group * (number as f64 + (1.0 - FILLED) / 2.0);
            for (place, bars) in self.bars.iter().enumerate() {
                let value = bars.values.get(number).copied().flatten();
                let Some(value) = value.filter(|value| *value > 0.0) else {
                    continue;
                };
                let (x, y) = (left + bar * place as f64, scale.y(value));
                let name = format!("{}: {} ms", bars.name, short(value));
                rect(to, [x, y, bar * 0.9, BOX[3] - y], bars.colour, &name);
            }
            // Over the other bars, into the gap before the group.
            let first = self
                .bars
                .first()
                .and_then(|bars| bars.values.get(number).copied().flatten());
            if let Some(value) = first.filter(|value| *value > 0.0) {
                let place = [left + bar * 0.9, scale.y(value) - 4.0];
                text(to, place, 11, "end", "#1f2933", &short(value));
            }
            let middle = BOX[0] + group * (number as f64 + 0.5);
            for (line, part) in lines(name).iter().enumerate() {
                let y = BOX[3] + 18.0 + 14.0 * line as f64;
                text(to, [middle, y], 11, "middle", "#1f2933", part);
            }
        }
        let end = BOX[3] + 54.0;
        text(
            to,
            [BOX[0], end],
            11,
            "start",
            "#52606d",
            "milliseconds, logarithmic: less is better",
        );
    }
}

/// From values to heights.
#[derive(Debug)]
struct Scale {
    /// Powers of ten at the bottom and the top.
    bottom: i32,
    top: i32,
}

impl Scale {
    fn of<'a>(values: impl Iterator<Item = &'a f64>) -> Self {
        let logs = values
            .filter(|value| **value > 0.0)
            .map(|value| value.log10());
        let (low, high) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), log| {
            (low.min(log), high.max(log))
        });
        if low > high {
            return Self { bottom: 0, top: 1 };
        }
        let bottom = low.floor() as i32;
        Self {
            bottom,
            top: (high.ceil() as i32).max(bottom + 1),
        }
    }

    fn y(&self, value: f64) -> f64 {
        let part = (value.log10() - f64::from(self.bottom)) / f64::from(self.top - self.bottom);
        BOX[3] - (BOX[3] - BOX[1]) * part.clamp(0.004, 1.0)
    }

    fn lines(&self, to: &mut String) {
        for power in self.bottom..=self.top {
            let value = 10f64.powi(power);
            let y = BOX[3]
                - (BOX[3] - BOX[1]) * f64::from(power - self.bottom)
                    / f64::from(self.top - self.bottom);
            let colour = if power == self.bottom {
                "#7b8794"
            } else {
                "#e4e7eb"
            };
            let [left, _, right, _] = BOX;
            let _ = writeln!(
                to,
                "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" \
                 stroke=\"{colour}\"/>"
            );
            text(
                to,
                [left - 8.0, y + 4.0],
                11,
                "end",
                "#52606d",
                &format!("{value}"),
            );
        }
    }
}

/// A name in at most two lines, cut after its second word.
fn lines(name: &str) -> Vec<String> {
    let words: Vec<&str> = name.split('-').collect();
    match words.len() {
        0..=2 => vec![name.to_owned()],
        _ => vec![words[..2].join("-"), words[2..].join("-")],
    }
}

/// Two significant digits below 10, whole numbers above.
fn short(value: f64) -> String {
    let digits = (1 - value.log10().floor() as i32).clamp(0, 6) as usize;
    format!("{value:.digits$}")
}

fn rect(to: &mut String, [x, y, width, height]: [f64; 4], colour: &str, name: &str) {
    let _ = writeln!(
        to,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
         fill=\"{colour}\"><title>{}</title></rect>",
        escape(name)
    );
}

fn text(to: &mut String, [x, y]: [f64; 2], size: u32, anchor: &str, colour: &str, words: &str) {
    let _ = writeln!(
        to,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" \
         fill=\"{colour}\">{}</text>",
        escape(words)
    );
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        Chart {
            title: "a < b & \"c\"".to_owned(),
            remark: "a remark".to_owned(),
            groups: vec!["one-two-3-4".to_owned(), "last".to_owned()],
            bars: vec![
                Bars {
                    name: "ours".to_owned(),
                    colour: "#00ff00",
                    values: vec![Some(0.02), Some(1.0)],
                },
                Bars {
                    name: "<theirs>".to_owned(),
                    colour: "#ff0000",
                    values: vec![Some(350.0), None],
                },
            ],
        }
    }

    /// Each element is closed by its own name, text holds no bare marks, attributes are in quotes.
    fn check(svg: &str) -> Vec<String> {
        let (mut open, mut seen) = (Vec::new(), Vec::new());
        let mut rest = svg;
        while let Some(at) = rest.find('<') {
            assert!(
                !rest[..at].contains('>'),
                "a bare > before {:?}",
                &rest[at..]
            );
            let end = rest[at..].find('>').expect("a tag that does not end") + at;
            let tag = &rest[at + 1..end];
            rest = &rest[end + 1..];
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name));
                continue;
            }
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            let name = tag.split([' ', '/']).next().unwrap_or_default().to_owned();
            seen.push(name.clone());
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?} stay open");
        for part in svg.split('&').skip(1) {
            let named = ["amp;", "lt;", "gt;", "quot;"];
            assert!(
                named.iter().any(|name| part.starts_with(name)),
                "a bare &: {part}"
            );
        }
        seen
    }

    #[test]
    fn the_picture_is_well_formed_and_has_a_bar_for_each_value() {
        let chart = chart();
        let seen = check(&chart.svg());
        let count = |name: &str| seen.iter().filter(|seen| *seen == name).count();
        // The ground, two of the legend, three values.
        assert_eq!(count("rect"), 6);
        assert_eq!(count("svg"), 1);
        // 0.01, 0.1, 1, 10, 100, 1000.
        assert_eq!(count("line"), 6);
        let empty = Chart {
            groups: Vec::new(),
            bars: Vec::new(),
            ..chart
        };
        check(&empty.svg());
    }

    #[test]
    fn ten_times_as_much_is_as_much_higher_everywhere() {
        let scale = Scale::of([0.02, 350.0].iter());
        assert_eq!((scale.bottom, scale.top), (-2, 3));
        let steps = [0.05, 0.5, 5.0, 50.0].map(|value| scale.y(value));
        for pair in steps.windows(2) {
            assert!((pair[0] - pair[1] - (BOX[3] - BOX[1]) / 5.0).abs() < 1e-9);
        }
        assert_eq!(
            (short(0.0234), short(4.56), short(1234.5)),
            ("0.023".into(), "4.6".into(), "1234".into())
        );
    }
}
