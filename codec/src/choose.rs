//! Value columns of sealed chunks: which encoding, and from floats to bytes.
//!
//! Every encoding that may suit a column is tried and the shortest kept. A mapping to integers is
//! used only where the decoder's own arithmetic gave back the same bits; what does not map is
//! patched, or the mapping is dropped.

use crate::decimal::{self, MAX_SCALE};
use crate::limits::{BLOCK_SAMPLES, MAX_CHUNK_SAMPLES, MAX_DICTIONARY};
use crate::sample::{ValueKind, is_stale};
use crate::sealed::{Encoding, decode_values, from_ordered, to_ordered};
use crate::sequence::{self, Stage, Transform};
use crate::tag::{self, Tag};
use crate::varint::{put_bytes, put_u64};
use crate::{number, xor};

/// Transforms worth trying on values.
const TRANSFORMS: [Transform; 3] = [Transform::Plain, Transform::First, Transform::Second];
/// Values looked at to find the decimal scale.
const PROBES: usize = 32;
/// At most one value in so many is patched.
const PATCH_SHARE: usize = 12;
/// Largest distance from a decimal that counts as rounding noise.
const MAX_ULPS: u64 = 1 << 10;

/// Appends a chunk of `values` (at most [`MAX_CHUNK_SAMPLES`]) to `out`; returns its encoding.
///
/// The chunk does not hold its count, which is that of its timestamp column. It is never longer
/// than 8 bytes per value and one more.
///
/// # Panics
/// When there are more than [`MAX_CHUNK_SAMPLES`]: no decoder would read them back.
pub fn encode_values(values: &[f64], out: &mut Vec<u8>) -> Encoding {
    encode(values, Stage::Packed, out)
}

/// Like [`encode_values`], but smaller and slower to decode: integers are entropy-coded where
/// that saves at least one byte in 32. For chunks that are kept long and read rarely; the decoders are the
/// same.
///
/// # Panics
/// When there are more than [`MAX_CHUNK_SAMPLES`]: no decoder would read them back.
pub fn encode_values_cold(values: &[f64], out: &mut Vec<u8>) -> Encoding {
    encode(values, Stage::Coded, out)
}

fn encode(values: &[f64], stage: Stage, out: &mut Vec<u8>) -> Encoding {
    assert!(
        values.len() <= MAX_CHUNK_SAMPLES,
        "a chunk of too many samples"
    );
    let (filled, stale) = without_stale(values);
    let column = filled.as_deref().unwrap_or(values);
    let mut best = Best {
        bytes: Vec::new(),
        encoding: Encoding::Raw,
    };
    try_column(column, &stale, stage, &mut best);
    if best.bytes.len() > 1 + 8 * values.len() || !gives_back(&best.bytes, values) {
        best = Best {
            bytes: Vec::new(),
            encoding: Encoding::Raw,
        };
        put_tag(Encoding::Raw, &mut best.bytes);
        best.bytes.extend(
            values
                .iter()
                .flat_map(|value| value.to_bits().to_le_bytes()),
        );
    }
    out.extend_from_slice(&best.bytes);
    best.encoding
}

/// Whether the decoder makes the same bits of `bytes`. It always should, and costs little beside
/// the choice: a sealed chunk replaces the samples it was made of.
fn gives_back(bytes: &[u8], values: &[f64]) -> bool {
    let mut decoded = Vec::new();
    let same = decode_values(bytes, values.len(), &mut decoded).is_ok()
        && decoded
            .iter()
            .zip(values)
            .all(|(one, other)| one.to_bits() == other.to_bits());
    debug_assert!(same, "an encoder and its decoder disagree");
    same
}

fn put_tag(encoding: Encoding, out: &mut Vec<u8>) {
    out.push(tag::byte(Tag::Sealed(encoding), ValueKind::F64));
}

/// A position and the value that belongs there.
type Patch = (usize, f64);

/// The column with stale markers replaced by the value before, and the markers as patches.
fn without_stale(values: &[f64]) -> (Option<Vec<f64>>, Vec<Patch>) {
    let stale: Vec<Patch> = values
        .iter()
        .copied()
        .enumerate()
        .filter(|&(_, value)| is_stale(value))
        .collect();
    let Some(&first) = values.iter().find(|&&value| !is_stale(value)) else {
        return (None, Vec::new());
    };
    if stale.is_empty() {
        return (None, stale);
    }
    let mut last = first;
    let filled = values.iter().map(|&value| {
        if !is_stale(value) {
            last = value;
        }
        last
    });
    (Some(filled.collect()), stale)
}

/// The shortest encoding so far; empty before the first.
struct Best {
    bytes: Vec<u8>,
    encoding: Encoding,
}

impl Best {
    fn offer(&mut self, encoding: Encoding, patches: &[Patch], body: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::with_capacity(self.bytes.len() + 64);
        if !patches.is_empty() {
            put_tag(Encoding::Patched, &mut bytes);
            put_u64(&mut bytes, patches.len() as u64);
            let mut next = 0;
            for &(position, value) in patches {
                put_u64(&mut bytes, (position - next) as u64);
                number::put(&mut bytes, value);
                next = position + 1;
            }
        }
        put_tag(encoding, &mut bytes);
        body(&mut bytes);
        if self.bytes.is_empty() || bytes.len() < self.bytes.len() {
            self.bytes = bytes;
            self.encoding = if patches.is_empty() {
                encoding
            } else {
                Encoding::Patched
            };
        }
    }

    /// Whether the column costs more than `bits` bits per value so far.
    fn costs_more(&self, bits: usize, count: usize) -> bool {
        self.bytes.is_empty() || self.bytes.len() * 8 > bits * count + 64
    }
}

fn try_column(column: &[f64], stale: &[Patch], stage: Stage, best: &mut Best) {
    let first = column.first().copied().unwrap_or(0.0);
    if column
        .iter()
        .all(|value| value.to_bits() == first.to_bits())
    {
        return best.offer(Encoding::Constant, stale, |out| number::put(out, first));
    }
    try_decimals(column, stale, stage, best);
    if best.costs_more(4, column.len()) {
        try_dictionary(column, stale, stage, best);
    }
    if best.costs_more(24, column.len()) {
        try_ulps(column, stale, stage, best);
    }
    if best.costs_more(40, column.len()) {
        best.offer(Encoding::Xor, stale, |out| xor::put(column, out));
        let ordered: Vec<i64> = column.iter().map(|&value| to_ordered(value)).collect();
        best.offer(Encoding::Ordered, stale, |out| {
            sequence::put_by(&ordered, &TRANSFORMS, stage, out)
        });
    }
}

/// Values spread evenly over the column.
fn probes(column: &[f64]) -> impl Iterator<Item = f64> + '_ {
    column
        .iter()
        .copied()
        .step_by(column.len().div_ceil(PROBES).max(1))
}

fn try_decimals(column: &[f64], stale: &[Patch], stage: Stage, best: &mut Best) {
    // How many probes have each scale as their least.
    let mut scales = [0usize; MAX_SCALE as usize + 1];
    let (mut found, mut seen, mut hint) = (0, 0, 0);
    for value in probes(column) {
        seen += 1;
        if let Some(scale) = decimal::least_scale(value, hint) {
            scales[usize::from(scale)] += 1;
            found += 1;
            hint = scale;
        }
    }
    if found * 4 < seen * 3 {
        return;
    }
    // The scale that all probes fit, and the one that nearly all do.
    let fitting = |share: usize| {
        let mut sum = 0;
        (0..=MAX_SCALE).find(|&scale| {
            sum += scales[usize::from(scale)];
            sum >= share
        })
    };
    let (Some(all), Some(most)) = (fitting(found), fitting(found - found / PATCH_SHARE)) else {
        return;
    };
    let wider = try_scale(column, all, stale, stage, best);
    if let Some(wider) = wider
        && let Some(widest) = try_scale(column, wider, stale, stage, best)
    {
        try_scale(column, widest, stale, stage, best);
    }
    if most < all {
        try_scale(column, most, stale, stage, best);
    }
}

/// Offers the column at `scale`; returns a larger scale that values it refused would fit.
fn try_scale(
    column: &[f64],
    scale: u8,
    stale: &[Patch],
    stage: Stage,
    best: &mut Best,
) -> Option<u8> {
    let mut misfits = Vec::new();
    let mut wider = None;
    let mut ints = Vec::with_capacity(column.len());
    for (index, block) in column.chunks(BLOCK_SAMPLES).enumerate() {
        let start = ints.len();
        if decimal::extend_ints(block, scale, &mut ints) {
            continue;
        }
        ints.truncate(start);
        for (offset, &value) in block.iter().enumerate() {
            if let Some(int) = decimal::to_int(value, scale) {
                ints.push(int);
                continue;
            }
            if wider.is_none_or(|wider| decimal::to_int(value, wider).is_none()) {
                let found = decimal::find(value, scale + 1, MAX_SCALE);
                wider = wider.max(found.map(|(_, scale)| scale));
            }
            misfits.push((index * BLOCK_SAMPLES + offset, value));
            if misfits.len() > column.len() / PATCH_SHARE {
                return wider;
            }
            ints.push(ints.last().copied().unwrap_or(0));
        }
    }
    let patches = merge(stale, &misfits);
    best.offer(Encoding::Decimal, &patches, |out| {
        out.push(scale);
        sequence::put_by(&ints, &TRANSFORMS, stage, out);
    });
    wider
}

/// Both lists by position; where both have one, the stale marker is what belongs there.
fn merge(stale: &[Patch], misfits: &[Patch]) -> Vec<Patch> {
    let mut all = [stale, misfits].concat();
    all.sort_by_key(|&(position, _)| position);
    all.dedup_by_key(|&mut (position, _)| position);
    all
}

fn try_ulps(column: &[f64], stale: &[Patch], stage: Stage, best: &mut Best) {
    let near = |value: f64, scale: u8| {
        decimal::to_int_and_ulps(value, scale).filter(|&(_, ulps)| ulps.unsigned_abs() <= MAX_ULPS)
    };
    let fits = |scale: u8| {
        let (mut fit, mut seen) = (0, 0);
        for value in probes(column) {
            seen += 1;
            fit += usize::from(near(value, scale).is_some());
        }
        (seen - fit) * PATCH_SHARE <= seen
    };
    let Some(scale) = (0..=MAX_SCALE).find(|&scale| fits(scale)) else {
        return;
    };
    let (mut ints, mut corrections) = (Vec::new(), Vec::new());
    let mut misfits = Vec::new();
    let mut last = 0;
    for (position, &value) in column.iter().enumerate() {
        let ulps = match near(value, scale) {
            Some((int, ulps)) => {
                last = int;
                ulps
            }
            None => {
                misfits.push((position, value));
                0
            }
        };
        ints.push(last);
        corrections.push(ulps);
    }
    if misfits.len() > column.len() / PATCH_SHARE {
        return;
    }
    let patches = merge(stale, &misfits);
    best.offer(Encoding::DecimalUlps, &patches, |out| {
        out.push(scale);
        sequence::put_by(&ints, &TRANSFORMS, stage, out);
        sequence::put_by(&corrections, &[Transform::Plain], stage, out);
    });
}

fn try_dictionary(column: &[f64], stale: &[Patch], stage: Stage, best: &mut Best) {
    let most = MAX_DICTIONARY.min(column.len() / 3);
    let Some((distinct, ids)) = distinct(column, most) else {
        return;
    };
    // An index of the usual width, less what differences may save, and a byte per distinct value.
    let width = (usize::BITS - distinct.len().leading_zeros()) as usize;
    if distinct.len() + column.len() * width / 11 > best.bytes.len() && !best.bytes.is_empty() {
        return;
    }
    // In the order of the floats, so that neighbours have near indexes.
    let mut order: Vec<usize> = (0..distinct.len()).collect();
    order.sort_unstable_by_key(|&id| distinct[id]);
    let mut ranks = vec![0i64; distinct.len()];
    for (rank, &id) in (0i64..).zip(&order) {
        ranks[id] = rank;
    }
    let indexes: Vec<i64> = ids.iter().map(|&id| ranks[usize::from(id)]).collect();
    let values: Vec<f64> = order.iter().map(|&id| from_ordered(distinct[id])).collect();
    let mut inner = Best {
        bytes: Vec::new(),
        encoding: Encoding::Raw,
    };
    try_scale_of_dictionary(&values, stage, &mut inner);
    best.offer(Encoding::Dictionary, stale, |out| {
        put_u64(out, values.len() as u64);
        put_bytes(out, &inner.bytes);
        sequence::put_by(&indexes, &TRANSFORMS, stage, out);
    });
}

/// The dictionary's own values: decimals without patches, ordered bits, or raw.
fn try_scale_of_dictionary(values: &[f64], stage: Stage, inner: &mut Best) {
    let mut scale = Some(0);
    for &value in values {
        scale = scale.and_then(|scale| Some(decimal::find(value, scale, MAX_SCALE)?.1));
    }
    if let Some(scale) = scale {
        let ints: Option<Vec<i64>> = values
            .iter()
            .map(|&value| decimal::to_int(value, scale))
            .collect();
        if let Some(ints) = ints {
            inner.offer(Encoding::Decimal, &[], |out| {
                out.push(scale);
                sequence::put_by(&ints, &TRANSFORMS, stage, out);
            });
        }
    }
    inner.offer(Encoding::Raw, &[], |out| {
        out.extend(
            values
                .iter()
                .flat_map(|value| value.to_bits().to_le_bytes()),
        );
    });
    let ordered: Vec<i64> = values.iter().map(|&value| to_ordered(value)).collect();
    inner.offer(Encoding::Ordered, &[], |out| {
        sequence::put_by(&ordered, &TRANSFORMS, stage, out)
    });
}

/// The distinct values as ordered integers, by their first appearance, and for each value which of
/// them it is; `None` when there are more than `most` (at most [`MAX_DICTIONARY`]).
fn distinct(column: &[f64], most: usize) -> Option<(Vec<i64>, Vec<u16>)> {
    const SLOTS: usize = 1024;
    const FREE: u16 = u16::MAX;
    const { assert!(MAX_DICTIONARY * 2 <= SLOTS) };
    let mut slots = [FREE; SLOTS];
    let mut found: Vec<i64> = Vec::new();
    let mut ids = Vec::with_capacity(column.len());
    for &value in column {
        let int = to_ordered(value);
        // Fibonacci hashing; the table is at most half full, so a free slot is near.
        let hash = (int as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
        let mut slot = hash as usize % SLOTS;
        while slots[slot] != FREE && found[usize::from(slots[slot])] != int {
            slot = (slot + 1) % SLOTS;
        }
        if slots[slot] == FREE {
            if found.len() == most {
                return None;
            }
            slots[slot] = found.len() as u16;
            found.push(int);
        }
        ids.push(slots[slot]);
    }
    Some((found, ids))
}
