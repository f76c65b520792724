//! Kernels of the codec: append into the head, decode from it, seal, decode what was sealed.
//!
//! Input: columns of the generator, and of the corpora where `TREERING_CORPORA` is set. Output:
//! criterion's times for one column; its throughput line counts samples. What is decoded is
//! compared once with what was encoded before anything is timed.
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::print_stdout, reason = "a bench says what it left out")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use treering_benches::corpus;
use treering_benches::generator::{Generator, Shape, Values};
use treering_codec::{
    StreamEncoder, decode_stream, decode_timestamps, decode_values, encode_timestamps,
    encode_values,
};

/// Samples of a sealed chunk, and the most that a head keeps in one stream.
const CHUNK: usize = 1024;
const STREAM: usize = 120;

/// A named run of samples.
struct Column {
    name: String,
    timestamps: Vec<i64>,
    values: Vec<f64>,
}

/// One column per kind of values; of a corpus the longest series that changes most often.
fn columns() -> Vec<Column> {
    let mut columns = Vec::new();
    for (name, values) in [
        ("int", Values::Int),
        ("dec2", Values::Dec2),
        ("counter", Values::Counter),
    ] {
        let shape = Shape {
            hosts: 1,
            metrics: 1,
            ..Shape::s(values)
        };
        let (timestamps, values) = Generator::new(shape, 1).series(0);
        columns.push(column(name, &timestamps, &values));
    }
    let Some(folder) = corpus::folder() else {
        println!("SKIPPED: columns of the corpora, because TREERING_CORPORA is not set");
        return columns;
    };
    for name in corpus::names(&folder).expect("the corpora are readable") {
        let all = corpus::read(&folder, &name).expect("the corpus is readable");
        let changes = |values: &[f64]| {
            values
                .windows(2)
                .filter(|pair| pair[0].to_bits() != pair[1].to_bits())
                .count()
        };
        let busiest = all.iter().max_by_key(|series| changes(&series.values));
        let series = busiest.expect("a corpus has series");
        columns.push(column(&name, &series.timestamps, &series.values));
    }
    columns
}

fn column(name: &str, timestamps: &[i64], values: &[f64]) -> Column {
    let len = values.len().min(CHUNK);
    Column {
        name: name.to_owned(),
        timestamps: timestamps[..len].to_vec(),
        values: values[..len].to_vec(),
    }
}

fn stream(timestamps: &[i64], values: &[f64]) -> StreamEncoder {
    let mut encoder = StreamEncoder::new();
    for (timestamp, value) in timestamps.iter().zip(values) {
        encoder.push(*timestamp, *value);
    }
    encoder
}

fn head(criterion: &mut Criterion) {
    let columns = columns();
    let mut group = criterion.benchmark_group("head");
    for Column {
        name,
        timestamps,
        values,
    } in &columns
    {
        let len = values.len().min(STREAM);
        let (timestamps, values) = (&timestamps[..len], &values[..len]);
        group.throughput(Throughput::Elements(len as u64));
        group.bench_function(BenchmarkId::new("append", name), |bencher| {
            bencher.iter(|| stream(black_box(timestamps), black_box(values)));
        });
        let bytes = stream(timestamps, values).finish();
        let (mut times, mut floats) = (Vec::new(), Vec::new());
        decode_stream(&bytes, &mut times, &mut floats).expect("just encoded");
        assert_eq!(times, timestamps);
        assert_eq!(bits(&floats), bits(values));
        group.bench_function(BenchmarkId::new("decode", name), |bencher| {
            bencher.iter(|| {
                times.clear();
                floats.clear();
                decode_stream(black_box(&bytes), &mut times, &mut floats)
            });
        });
    }
    group.finish();
}

fn sealed(criterion: &mut Criterion) {
    let columns = columns();
    let mut group = criterion.benchmark_group("sealed");
    for Column {
        name,
        timestamps,
        values,
    } in &columns
    {
        group.throughput(Throughput::Elements(values.len() as u64));
        let (mut chunk, mut floats) = (Vec::new(), Vec::new());
        let encoding = encode_values(values, &mut chunk);
        decode_values(&chunk, values.len(), &mut floats).expect("just encoded");
        assert_eq!(bits(&floats), bits(values));
        println!(
            "{name}: {encoding:?}, {:.3} bytes a value",
            chunk.len() as f64 / values.len() as f64
        );
        let mut out = Vec::new();
        group.bench_function(BenchmarkId::new("encode values", name), |bencher| {
            bencher.iter(|| {
                out.clear();
                encode_values(black_box(values), &mut out)
            });
        });
        group.bench_function(BenchmarkId::new("decode values", name), |bencher| {
            bencher.iter(|| {
                floats.clear();
                decode_values(black_box(&chunk), values.len(), &mut floats)
            });
        });
        let (mut column, mut times) = (Vec::new(), Vec::new());
        encode_timestamps(timestamps, &mut column);
        decode_timestamps(&column, &mut times).expect("just encoded");
        assert_eq!(&times, timestamps);
        group.bench_function(BenchmarkId::new("decode timestamps", name), |bencher| {
            bencher.iter(|| {
                times.clear();
                decode_timestamps(black_box(&column), &mut times)
            });
        });
    }
    group.finish();
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

criterion_group! {
    name = kernels;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    targets = head, sealed
}
criterion_main!(kernels);
