//! Frames of Arrow data to batches: long (a row is a sample) and wide (a column is a metric).
//!
//! Input: a stream of arrays with a column of times, columns of numbers and of texts. Output:
//! appends of whole series at a time. Invariant: rows of one series are appended in their order, so
//! of equal times the later row wins; a null is no sample, a NaN is one.

use arrow_array::cast::AsArray;
use arrow_array::{Array, StructArray};
use arrow_schema::{DataType, Fields};
use treering::{Batch, CancelToken, Db, Labels};

use crate::column::{Texts, floats_of, is_number, is_text, is_time, times_of};
use crate::failure::{Failure, Outcome};
use crate::groups::{Groups, sorted};
use crate::lend::Arrays;

/// Samples that are appended at once.
const BATCH_SAMPLES: usize = 1 << 20;

/// The label with the name of a metric.
const NAME: &str = "__name__";

/// What the caller said about the columns.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub(crate) timestamp: Option<String>,
    pub(crate) values: Option<Vec<String>>,
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) metric: Option<String>,
    /// Whether `values` was one name: then it is the value, not a metric.
    pub(crate) is_long: bool,
}

/// Which column is what.
#[derive(Debug)]
struct Columns {
    timestamp: usize,
    /// Each with the name of its metric, if that is the name of the column.
    values: Vec<(usize, Option<String>)>,
    labels: Vec<(usize, String)>,
}

/// A frame on its way in.
#[derive(Debug)]
struct Frame {
    fields: Fields,
    columns: Columns,
    metric: Option<String>,
    texts: Vec<Texts>,
    groups: Groups,
    batch: Batch,
    appended: u64,
}

/// Appends all samples of a frame; how many they were.
pub(crate) fn append(db: &Db, arrays: Arrays, named: &Named, token: &CancelToken) -> Outcome<u64> {
    let mut frame: Option<Frame> = None;
    let mut appended = 0;
    for array in arrays {
        let array = array?;
        let rows = array.as_struct_opt().ok_or_else(|| {
            Failure::kind("a frame has named columns: give a table, not a single column")
        })?;
        array.to_data().validate_full()?;
        let frame = match &mut frame {
            Some(frame) => frame,
            none => none.insert(Frame::new(rows.fields(), named)?),
        };
        frame.add(db, rows, token)?;
        appended = frame.appended;
    }
    if let Some(mut frame) = frame {
        frame.flush(db)?;
        appended = frame.appended;
    }
    Ok(appended)
}

impl Frame {
    fn new(fields: &Fields, named: &Named) -> Outcome<Self> {
        let columns = Columns::new(fields, named)?;
        let mut texts = Vec::new();
        texts.resize_with(columns.labels.len(), Texts::default);
        let groups = Groups::new(columns.labels.len());
        Ok(Self {
            fields: fields.clone(),
            columns,
            metric: named.metric.clone(),
            texts,
            groups,
            batch: Batch::new(),
            appended: 0,
        })
    }

    /// Adds the rows of one array, in pieces.
    fn add(&mut self, db: &Db, rows: &StructArray, token: &CancelToken) -> Outcome<()> {
        if rows.fields() != &self.fields {
            return Err(Failure::new(
                "FrameError",
                "the columns of the frame change on the way",
            ));
        }
        if rows.null_count() > 0 {
            return Err(Failure::value(
                "the frame has rows that are null as a whole",
            ));
        }
        let piece = (BATCH_SAMPLES / self.columns.values.len().max(1)).max(1);
        let mut at = 0;
        while at < rows.len() {
            if token.is_cancelled() {
                return Err(treering::Error::Cancelled.into());
            }
            let len = piece.min(rows.len() - at);
            self.add_piece(&rows.slice(at, len))?;
            if self.batch.len() >= BATCH_SAMPLES / 2 {
                self.flush(db)?;
            }
            at += len;
        }
        Ok(())
    }

    fn add_piece(&mut self, rows: &StructArray) -> Outcome<()> {
        let name = |at: usize| {
            self.fields
                .get(at)
                .map_or("", |field| field.name().as_str())
        };
        let column = |at: usize| {
            let lost = || Failure::new("FrameError", "the frame has fewer columns than it says");
            rows.columns().get(at).ok_or_else(lost)
        };
        let timestamp = self.columns.timestamp;
        let times = times_of(name(timestamp), column(timestamp)?)?;
        let mut numbers = Vec::new();
        for ((at, _), texts) in self.columns.labels.iter().zip(&mut self.texts) {
            numbers.push(texts.numbers_of(name(*at), column(*at)?)?);
        }
        let series = self.groups.series_of(rows.len(), &numbers);
        let sorted = sorted(&series);
        for (at, metric) in &self.columns.values {
            let column = column(*at)?;
            let values = floats_of(name(*at), column)?;
            let nulls = column
                .logical_nulls()
                .filter(|nulls| nulls.null_count() > 0);
            for pair in sorted.series.windows(2) {
                let &[(one, begin), (_, end)] = pair else {
                    continue;
                };
                let labels = self.labels_of(one, metric.as_deref())?;
                if sorted.order.is_empty() && nulls.is_none() {
                    self.batch.push_column(labels, &times, &values);
                    continue;
                }
                let row = |at: usize| sorted.order.get(at).map_or(at, |row| *row as usize);
                let there = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
                let rows = || (begin..end).map(row).filter(there);
                let own_times: Vec<i64> = rows().map(|row| times[row]).collect();
                let own_values: Vec<f64> = rows().map(|row| values[row]).collect();
                self.batch.push_column(labels, &own_times, &own_values);
            }
        }
        Ok(())
    }

    /// The labels of a series of the frame.
    fn labels_of(&self, series: u32, metric: Option<&str>) -> Outcome<Labels> {
        let numbers = self.groups.texts_of(series);
        let columns = self.columns.labels.iter().zip(&self.texts).rev();
        let pairs = columns
            .zip(numbers)
            .filter_map(|(((_, name), texts), number)| Some((name.as_str(), texts.get(number)?)));
        let metric = metric
            .or(self.metric.as_deref())
            .map(|metric| (NAME, metric));
        let labels = Labels::from_pairs(pairs.chain(metric)).map_err(treering::Error::from)?;
        Ok(labels)
    }

    fn flush(&mut self, db: &Db) -> Outcome<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        db.append(&self.batch).map_err(|error| match error {
            // Rows were put in another order, so their numbers would mislead.
            treering::Error::Rejected(rejection) => Failure::from(rejection.reason),
            error => error.into(),
        })?;
        self.appended += self.batch.len() as u64;
        self.batch.clear();
        Ok(())
    }
}

impl Columns {
    /// Finds out which column is what; whatever is not clear is refused by name.
    fn new(fields: &Fields, named: &Named) -> Outcome<Self> {
        let timestamp = timestamp_column(fields, named.timestamp.as_deref())?;
        let place = |name: &String| match fields.find(name) {
            Some((at, _)) => Ok(at),
            None => Err(missing(fields, name)),
        };
        let others = || {
            let others = fields
                .iter()
                .enumerate()
                .filter(move |(at, _)| *at != timestamp);
            // What pandas calls an index without a name.
            others.filter(|(_, field)| !field.name().starts_with("__index_level_"))
        };
        let labels: Vec<(usize, String)> = match &named.labels {
            Some(labels) => {
                let pair = |name: &String| Ok((place(name)?, name.clone()));
                labels.iter().map(pair).collect::<Outcome<_>>()?
            }
            None => {
                let texts = others().filter(|(_, field)| is_text(field.data_type()));
                texts
                    .map(|(at, field)| (at, field.name().clone()))
                    .collect()
            }
        };
        let is_label = |at: usize| labels.iter().any(|(label, _)| *label == at);
        let value = || others().find(|(at, field)| field.name() == "value" && !is_label(*at));
        let values = match (&named.values, value()) {
            (Some(names), _) => {
                let own = |name: &String| (!named.is_long).then(|| name.clone());
                let pair = |name: &String| Ok((place(name)?, own(name)));
                names.iter().map(pair).collect::<Outcome<_>>()?
            }
            (None, Some((at, _))) => vec![(at, None)],
            (None, None) => {
                let wide =
                    others().filter(|(at, field)| is_number(field.data_type()) && !is_label(*at));
                wide.map(|(at, field)| (at, Some(field.name().clone())))
                    .collect::<Vec<_>>()
            }
        };
        let columns = Self {
            timestamp,
            values,
            labels,
        };
        columns.check(fields, named)?;
        Ok(columns)
    }

    fn check(&self, fields: &Fields, named: &Named) -> Outcome<()> {
        if self.values.is_empty() {
            return Err(Failure::value(format_args!(
                "the frame has no column of values: its columns are {}",
                listed(fields)
            )));
        }
        if named.metric.is_some() {
            let wide = self.values.iter().any(|(_, metric)| metric.is_some());
            if wide || self.labels.iter().any(|(_, name)| name == NAME) {
                return Err(Failure::value(
                    "metric= is for frames with one column of values and no column __name__",
                ));
            }
        }
        for (at, field) in fields.iter().enumerate() {
            let uses = usize::from(at == self.timestamp)
                + self.values.iter().filter(|(value, _)| *value == at).count()
                + self.labels.iter().filter(|(label, _)| *label == at).count();
            let name = field.name();
            if uses > 1 {
                return Err(Failure::value(format_args!(
                    "the column {name:?} is used twice"
                )));
            }
            let is_chosen = named.values.is_some() && named.labels.is_some();
            if uses == 0 && !is_chosen && !name.starts_with("__index_level_") {
                return Err(Failure::kind(format_args!(
                    "the column {name:?} has the type {}, and it is not clear what it is: name the \
                     columns with value= and labels=, or leave it out",
                    field.data_type()
                )));
            }
        }
        Ok(())
    }
}

/// The column of times: the one that is named, the one with a usual name, or the only one.
fn timestamp_column(fields: &Fields, name: Option<&str>) -> Outcome<usize> {
    if let Some(name) = name {
        let found = fields.find(name).map(|(at, _)| at);
        return found.ok_or_else(|| missing(fields, name));
    }
    for usual in ["timestamp", "time", "ts"] {
        if let Some((at, field)) = fields.find(usual)
            && (is_time(field.data_type()) || field.data_type() == &DataType::Int64)
        {
            return Ok(at);
        }
    }
    let mut times = fields
        .iter()
        .enumerate()
        .filter(|(_, field)| is_time(field.data_type()));
    match (times.next(), times.next()) {
        (Some((at, _)), None) => Ok(at),
        _ => Err(Failure::value(format_args!(
            "which column has the times? name it with timestamp=; the columns are {}",
            listed(fields)
        ))),
    }
}

fn missing(fields: &Fields, name: &str) -> Failure {
    Failure::value(format_args!(
        "the frame has no column {name:?}: its columns are {}",
        listed(fields)
    ))
}

fn listed(fields: &Fields) -> String {
    let one =
        |field: &arrow_schema::FieldRef| format!("{:?} ({})", field.name(), field.data_type());
    let some: Vec<String> = fields.iter().take(20).map(one).collect();
    some.join(", ")
}
