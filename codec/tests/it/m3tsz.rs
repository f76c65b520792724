//! M3TSZ: ten real blocks, every layout that an encoder may choose, and damage.

use crate::data::{bits, mix, odd_float};
use proptest::prelude::*;
use std::path::PathBuf;
use treering_codec::{Error, M3TimeUnit, MAX_M3TSZ_SAMPLES_PER_BYTE, crc32, decode_m3tsz};

/// Samples of each real block and the CRC-32 of them, as an independent reader decoded them.
const BLOCKS: [(usize, u32); 10] = [
    (720, 0x4c0dcd0a),
    (720, 0x6a90418d),
    (719, 0x346e4605),
    (720, 0x53980157),
    (719, 0xb4dab85b),
    (720, 0x74bad9a4),
    (719, 0x50118dfe),
    (720, 0xee8e7213),
    (720, 0x4ea22bc3),
    (720, 0xe4088356),
];

const SECOND: i64 = 1_000_000_000;

fn decode(bytes: &[u8], unit: M3TimeUnit, int: bool) -> Result<(Vec<i64>, Vec<f64>), Error> {
    let (mut times, mut values) = (vec![7], vec![7.5]);
    let count = decode_m3tsz(bytes, unit, int, &mut times, &mut values);
    assert_eq!((times.remove(0), values.remove(0)), (7, 7.5));
    assert_eq!(times.len(), count.unwrap_or(0));
    assert_eq!(values.len(), times.len());
    assert!(times.len() <= bytes.len() * MAX_M3TSZ_SAMPLES_PER_BYTE);
    count.map(|_| (times, values))
}

fn real(block: usize) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/m3tsz");
    std::fs::read(folder.join(format!("block_{block}.bin"))).unwrap()
}

#[test]
fn ten_real_blocks_hold_what_another_reader_found() {
    let mut bytes_per_sample = (0, 0);
    for (block, (count, crc)) in BLOCKS.into_iter().enumerate() {
        let bytes = real(block);
        let (times, values) = decode(&bytes, M3TimeUnit::Second, true).unwrap();
        let mut samples = Vec::new();
        for (time, value) in times.iter().zip(&values) {
            samples.extend(time.to_le_bytes());
            samples.extend(value.to_bits().to_le_bytes());
        }
        assert_eq!(
            (times.len(), crc32(0, &samples)),
            (count, crc),
            "block {block}"
        );
        bytes_per_sample = (bytes_per_sample.0 + bytes.len(), bytes_per_sample.1 + count);
    }
    assert_eq!(bytes_per_sample, (11_458, 7_197));
}

#[test]
fn every_prefix_of_a_real_block_is_refused_and_bytes_behind_it_too() {
    for block in [0, 2, 4] {
        let mut bytes = real(block);
        for len in (1..bytes.len()).step_by(37).chain([bytes.len() - 1]) {
            let cut = decode(&bytes[..len], M3TimeUnit::Second, true);
            assert!(
                matches!(cut, Err(Error::Truncated { .. })),
                "{len}: {cut:?}"
            );
        }
        bytes.push(0);
        assert!(decode(&bytes, M3TimeUnit::Second, true).is_err());
    }
    assert_eq!(decode(&[], M3TimeUnit::Second, true), Ok((vec![], vec![])));
}

#[test]
fn what_no_encoder_writes_is_refused() {
    let start = |writer: &mut Writer, start: i64| writer.put(start as u64, 64);
    let refused = |write: &dyn Fn(&mut Writer), int: bool| {
        let mut writer = Writer::default();
        write(&mut writer);
        writer.put(0, 64);
        decode(&writer.bytes, M3TimeUnit::Second, int).unwrap_err()
    };
    let unit = refused(&|w| (start(w, 0), w.put(0x402, 11), w.put(9, 8)).2, true);
    assert!(matches!(unit, Error::Unsupported { found: 9, .. }));
    // The start is no whole second, and no marker says the unit.
    let none = refused(&|w| (start(w, 1), w.put(0, 1)).1, true);
    assert!(matches!(none, Error::Malformed { .. }));
    let minutes = |w: &mut Writer| {
        start(w, 0);
        w.put(0x402, 11);
        w.put(5, 8);
        w.put(60 * SECOND as u64, 64);
        w.put(0b0001, 4);
        w.put(0, 1);
    };
    assert!(matches!(refused(&minutes, true), Error::Malformed { .. }));
    let scale = |w: &mut Writer| (start(w, 0), w.put(0, 1), w.put(0b00_1111, 6)).2;
    assert!(matches!(refused(&scale, true), Error::Malformed { .. }));
    let long_xor = |w: &mut Writer| {
        start(w, 0);
        w.put(0, 1);
        w.put(1, 64);
        w.put(0b011_1111_1111_1111, 15);
    };
    assert!(matches!(refused(&long_xor, false), Error::Malformed { .. }));
    let annotation = |w: &mut Writer| (start(w, 0), w.put(0x401, 11), w.put(0x7e7e, 16)).2;
    assert!(matches!(
        refused(&annotation, true),
        Error::Malformed { .. }
    ));
}

/// One sample and how it is written.
#[derive(Debug, Clone)]
struct Step {
    gap: i64,
    unit: Option<M3TimeUnit>,
    annotation: Vec<u8>,
    value: Number,
    /// Writes what could be left out.
    is_wordy: bool,
}

/// A value that the writer below can hold without loss.
#[derive(Debug, Clone, Copy)]
enum Number {
    Float(f64),
    /// An integer and the power of ten below it.
    Int(i64, u32),
    Same,
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        2 => odd_float().prop_map(Number::Float),
        3 => (-1_000_000i64..1_000_000, 0u32..7).prop_map(|(int, scale)| Number::Int(int, scale)),
        1 => (-(1i64 << 52)..1 << 52, 0u32..7).prop_map(|(int, scale)| Number::Int(int, scale)),
        1 => Just(Number::Same),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let gap = prop_oneof![4 => Just(10i64), 2 => -70i64..70, 1 => -3_000i64..3_000, 1 => -1i64 << 30..1 << 30];
    let unit = prop::option::weighted(0.1, prop::sample::select(&COUNTED[..]));
    let annotation =
        prop_oneof![9 => Just(vec![]), 1 => prop::collection::vec(any::<u8>(), 1..200)];
    (gap, unit, annotation, number(), any::<bool>()).prop_map(
        |(gap, unit, annotation, value, is_wordy)| Step {
            gap,
            unit,
            annotation,
            value,
            is_wordy,
        },
    )
}

const COUNTED: [M3TimeUnit; 4] = [
    M3TimeUnit::Second,
    M3TimeUnit::Millisecond,
    M3TimeUnit::Microsecond,
    M3TimeUnit::Nanosecond,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_layout_that_an_encoder_may_choose_is_read(
        steps in prop::collection::vec(step(), 0..150),
        unit in prop::sample::select(&COUNTED[..]),
        start in (-1i64 << 40..1 << 40, any::<bool>()),
        int_optimized: bool,
    ) {
        let start = if start.1 { start.0 } else { start.0 / SECOND * SECOND };
        let mut encoder = Encoder::new(start, unit, int_optimized);
        for step in &steps {
            encoder.push(step);
        }
        let (times, values) = encoder.points.iter().copied().unzip::<i64, f64, Vec<_>, Vec<_>>();
        let bytes = encoder.finish();
        let (found_times, found) = decode(&bytes, unit, int_optimized).unwrap();
        prop_assert_eq!(found_times, times);
        prop_assert_eq!(bits(&found), bits(&values));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        unit in prop::sample::select(&COUNTED[..]),
        int_optimized: bool,
    ) {
        let _ = decode(&bytes, unit, int_optimized);
    }

    #[test]
    fn flipped_bits_of_real_blocks_are_read_or_refused(block in 0usize..10, seed: u64) {
        let mut bytes = real(block);
        for flip in 0..1 + seed % 4 {
            let at = mix(seed ^ flip) as usize % (bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
        }
        let _ = decode(&bytes, M3TimeUnit::Second, true);
    }
}

/// A plain encoder for the layout on `docs/format/m3tsz.md`; where that leaves a choice, the step
/// decides.
struct Encoder {
    writer: Writer,
    unit: Option<M3TimeUnit>,
    default_unit: M3TimeUnit,
    timestamp: i64,
    delta: i64,
    int_optimized: bool,
    is_float: bool,
    float: u64,
    xor: u64,
    int: i64,
    scale: u32,
    significant: u32,
    points: Vec<(i64, f64)>,
}

impl Encoder {
    fn new(start: i64, unit: M3TimeUnit, int_optimized: bool) -> Self {
        let mut writer = Writer::default();
        writer.put(start as u64, 64);
        Self {
            writer,
            unit: (start % unit.nanoseconds() == 0).then_some(unit),
            default_unit: unit,
            timestamp: start,
            delta: 0,
            int_optimized,
            is_float: !int_optimized,
            float: 0,
            xor: 0,
            int: 0,
            scale: 0,
            significant: 0,
            points: Vec::new(),
        }
    }

    fn push(&mut self, step: &Step) {
        if !step.annotation.is_empty() {
            self.put_annotation(&step.annotation);
        }
        self.put_time(step);
        let is_first = self.points.is_empty();
        match step.value {
            Number::Float(value) => self.put_float(value.to_bits(), is_first),
            _ if !self.int_optimized => {
                let value = match step.value {
                    Number::Int(int, scale) => int as f64 / 10f64.powi(scale as i32),
                    _ => f64::from_bits(self.float),
                };
                self.put_float(value.to_bits(), is_first);
            }
            Number::Int(int, scale) => self.put_int(int, scale, is_first, step.is_wordy),
            Number::Same if is_first => self.put_int(0, 0, true, step.is_wordy),
            Number::Same if step.is_wordy => self.writer.put(0b01, 2),
            Number::Same if self.is_float => self.put_float(self.float, false),
            Number::Same => self.put_int(self.int, self.scale, false, false),
        }
        let value = match self.is_float {
            true => f64::from_bits(self.float),
            false => self.int as f64 / 10f64.powi(self.scale as i32),
        };
        self.points.push((self.timestamp, value));
    }

    fn put_annotation(&mut self, annotation: &[u8]) {
        self.writer.put(0x401, 11);
        let mut zigzag = (annotation.len() as u64 - 1) << 1;
        while zigzag >= 0x80 {
            self.writer.put(zigzag & 0x7f | 0x80, 8);
            zigzag >>= 7;
        }
        self.writer.put(zigzag, 8);
        for &byte in annotation {
            self.writer.put(byte.into(), 8);
        }
    }

    fn put_time(&mut self, step: &Step) {
        let wanted = step.unit.or(self.unit).unwrap_or(self.default_unit);
        let is_new = self.unit != Some(wanted);
        if is_new || (step.unit.is_some() && step.is_wordy) {
            self.writer.put(0x402, 11);
            self.writer.put(wanted as u64, 8);
            self.unit = Some(wanted);
        }
        let scale = wanted.nanoseconds();
        if is_new {
            let delta = step.gap * scale + i64::from(step.is_wordy);
            self.writer.put((delta - self.delta) as u64, 64);
            self.timestamp += delta;
            self.delta = 0;
            return;
        }
        let dod = step.gap - self.delta / scale;
        self.delta = self.delta / scale * scale + dod * scale;
        self.timestamp += self.delta;
        let fits = |bits: u32| dod << (64 - bits) >> (64 - bits) == dod;
        let word = dod as u64;
        match dod {
            0 => self.writer.put(0, 1),
            _ if fits(7) => self.writer.put_pair((0b10, 2), (word, 7)),
            _ if fits(9) => self.writer.put_pair((0b110, 3), (word, 9)),
            _ if fits(12) => self.writer.put_pair((0b1110, 4), (word, 12)),
            _ if scale >= 1_000_000 => self.writer.put_pair((0b1111, 4), (word, 32)),
            _ => self.writer.put_pair((0b1111, 4), (word, 64)),
        }
    }

    fn put_int(&mut self, int: i64, scale: u32, is_first: bool, is_wordy: bool) {
        let difference = int - self.int;
        let magnitude = difference.unsigned_abs();
        let needed = 64 - magnitude.leading_zeros();
        let is_update = self.is_float || scale != self.scale || needed > self.significant;
        if is_first {
            self.writer.put(0, 1);
        } else if is_update || is_wordy {
            self.writer.put(0b000, 3);
        } else {
            self.writer.put(1, 1);
        }
        if is_first || is_update || is_wordy {
            match needed {
                _ if needed <= self.significant && !is_wordy => self.writer.put(0, 1),
                0 => self.writer.put(0b10, 2),
                _ => self.writer.put_pair((0b11, 2), (u64::from(needed) - 1, 6)),
            }
            if needed > self.significant || is_wordy {
                self.significant = needed;
            }
            match scale == self.scale && !is_wordy {
                true => self.writer.put(0, 1),
                false => self.writer.put_pair((1, 1), (scale.into(), 3)),
            }
        }
        self.writer.put(u64::from(difference > 0), 1);
        if self.significant > 0 {
            self.writer.put(magnitude, self.significant);
        }
        (self.int, self.scale, self.is_float) = (int, scale, false);
    }

    fn put_float(&mut self, value: u64, is_first: bool) {
        if is_first || !self.is_float {
            match (self.int_optimized, is_first) {
                (false, _) => {}
                (true, true) => self.writer.put(1, 1),
                (true, false) => self.writer.put(0b001, 3),
            }
            self.writer.put(value, 64);
            (self.float, self.xor, self.is_float) = (value, value, true);
            return;
        }
        if self.int_optimized {
            self.writer.put(1, 1);
        }
        let xor = value ^ self.float;
        let (lead, trail) = (self.xor.leading_zeros(), self.xor.trailing_zeros());
        if xor == 0 {
            self.writer.put(0, 1);
        } else if self.xor != 0 && xor.leading_zeros() >= lead && xor.trailing_zeros() >= trail {
            self.writer.put(0b10, 2);
            self.writer.put(xor >> trail, 64 - lead - trail);
        } else {
            let len = 64 - xor.leading_zeros() - xor.trailing_zeros();
            self.writer
                .put_pair((0b11, 2), (xor.leading_zeros().into(), 6));
            self.writer
                .put_pair((u64::from(len) - 1, 6), (xor >> xor.trailing_zeros(), len));
        }
        (self.float, self.xor) = (value, xor);
    }

    fn finish(mut self) -> Vec<u8> {
        self.writer.put(0x400, 11);
        self.writer.bytes
    }
}

/// Bits, the most significant first, one by one.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    used: usize,
}

impl Writer {
    fn put(&mut self, value: u64, count: u32) {
        for bit in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().unwrap();
            *last |= ((value >> bit & 1) as u8) << (7 - self.used % 8);
            self.used += 1;
        }
    }

    fn put_pair(&mut self, first: (u64, u32), second: (u64, u32)) {
        self.put(first.0, first.1);
        self.put(second.0, second.1);
    }
}
