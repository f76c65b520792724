//! Everything that can be asked of a database, each answer in short.
//!
//! Input: an open database. Output: for each question a number that stands for the whole answer, or
//! the error. Invariant: equal numbers stand for equal answers, bit for bit.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use treering::{Aggregate, AggregatedSeries, Db, Error, Function, Result, Selector};

/// Answers by question.
pub(crate) type Answers = BTreeMap<String, Result<u64>>;

/// What a database holds, in short: its namespaces, metadata, series and samples.
pub(crate) type Print = u64;

/// Asks for all samples, series by series, and what is known beside them.
pub(crate) fn ask(db: &Db) -> Answers {
    let mut answers = Answers::new();
    let names = db.namespaces();
    let list: Vec<String> = names
        .iter()
        .map(|info| format!("{:?}", info.options))
        .collect();
    let list: Vec<_> = names.iter().map(|info| &info.name).zip(list).collect();
    answers.insert("namespaces".to_owned(), Ok(hashed(&list)));
    for info in &names {
        match db.namespace(&info.name) {
            Ok(space) => ask_one(&space, &info.name, &mut answers),
            Err(error) => drop(answers.insert(info.name.clone(), Err(error))),
        }
    }
    answers
}

fn ask_one(db: &Db, name: &str, answers: &mut Answers) {
    let metadata = format!("{:?}", db.all_metadata());
    answers.insert(format!("{name}: metadata"), Ok(hashed(&metadata)));
    let list = list_series(db, name, answers);
    answers.insert(format!("{name}: series"), list);
    let all = Selector::all();
    for function in [Function::Sum, Function::Max, Function::Quantile(0.5)] {
        let whole = Aggregate::new(function);
        let hourly = Aggregate::new(function)
            .step(Duration::from_secs(3600))
            .by(["host"]);
        let answer = db.aggregate(&all, .., &whole);
        answers.insert(format!("{name}: {function:?}"), answer.map(points));
        // Of all time there are more hours than may be answered.
        let recent = crate::whole::NOW - 50 * 86_400_000_000_000..crate::whole::NOW;
        let answer = db.aggregate(&all, recent, &hourly);
        answers.insert(format!("{name}: hourly {function:?}"), answer.map(points));
    }
    let latest = db.latest(&all).map(|latest| {
        let samples = latest.iter().map(|it| (it.labels.to_string(), it.sample));
        let samples = samples.map(|(labels, it)| (labels, it.timestamp, it.value.to_bits()));
        hashed(&samples.collect::<Vec<_>>())
    });
    answers.insert(format!("{name}: latest"), latest);
    let names = db.label_names(&all, ..).map(|names| hashed(&names));
    answers.insert(format!("{name}: names"), names);
    let values = db.label_values("n", &all, ..).map(|values| hashed(&values));
    answers.insert(format!("{name}: values"), values);
}

/// The list of series; each series is an answer of its own.
fn list_series(db: &Db, name: &str, answers: &mut Answers) -> Result<u64> {
    let mut list = Vec::new();
    for series in db.select(&Selector::all(), ..)? {
        let series = series?;
        let labels = series.labels().to_string();
        let columns = series.columns().map(|columns| {
            let bits = columns.values.iter().map(|value| value.to_bits());
            hashed(&(&columns.timestamps, bits.collect::<Vec<u64>>()))
        });
        answers.insert(format!("{name}: {labels}"), columns);
        let samples = series.sample_columns().map(|samples| {
            let mut bytes = Vec::new();
            for histogram in samples.histograms.iter().flatten() {
                histogram.put(&mut bytes);
            }
            hashed(&(&samples.timestamps, bytes, samples.starts))
        });
        answers.insert(format!("{name}: beside {labels}"), samples);
        list.push(labels);
    }
    Ok(hashed(&list))
}

/// All samples of a database in which nothing is damaged.
pub(crate) fn told(db: &Db) -> Print {
    print(&ask(db)).unwrap()
}

/// The part of the answers that does not depend on which runs hold the samples.
pub(crate) fn print(answers: &Answers) -> Result<Print, Error> {
    let lasting = answers
        .iter()
        .filter(|(question, _)| !question.contains(": hourly"));
    let lasting = lasting.filter(|(question, _)| !question.ends_with(": Sum"));
    let known: Result<Vec<_>> = lasting
        .map(|(question, answer)| Ok((question, answer.clone()?)))
        .collect();
    known.map(|known| hashed(&known))
}

fn points(series: Vec<AggregatedSeries>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for one in &series {
        (one.labels.to_string(), one.approximate).hash(&mut hasher);
        for point in &one.points {
            (point.timestamp, point.value.to_bits()).hash(&mut hasher);
        }
    }
    hasher.finish()
}

fn hashed<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
