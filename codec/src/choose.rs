//! Which encoding suits a column of values.
//!
//! Input: a column and the stale markers set aside from it. Output: the shortest bytes found. Two
//! blocks of the column tell what each encoding is expected to take; rarer ones are looked at only
//! where the likely ones promise little. The most promising one is tried whole, and the next ones
//! as long as they promise clearly less than what was reached. A mapping to integers is used only
//! where the decoder's own arithmetic gave back the same bits; what does not map is patched, or the
//! mapping is dropped.

use crate::decimal::{self, MAX_SCALE};
use crate::dictionary::{self, Distinct};
use crate::limits::{BLOCK_SAMPLES, MAX_DICTIONARY};
use crate::near::Near;
use crate::residuals::{SequenceWriter, Stage, parts};
use crate::sample::ValueKind;
use crate::sealed::{Encoding, to_ordered};
use crate::sequence::Transform;
use crate::tag::{self, Tag};
use crate::varint::put_u64;
use crate::{number, split, xor};

/// Transforms worth trying on values.
const TRANSFORMS: [Transform; 3] = [Transform::Plain, Transform::First, Transform::Second];
/// Values looked at to find the decimal scale.
pub(crate) const PROBES: usize = 32;
/// At most one value in so many is patched.
pub(crate) const PATCH_SHARE: usize = 12;
/// Bits per value of the best encoding so far above which others are tried: dictionaries, mappings
/// to decimals nearby, and what uses the bits of the floats.
const DICTIONARY_FROM: usize = 4;
const NEAR_FROM: usize = 24;
const BITS_FROM: usize = 40;

/// Bits of a value that is patched, and its position.
const MISFIT_BITS: usize = 72;

/// Bits of a value in a dictionary, as is usual.
const ENTRY_BITS: usize = 12;

/// The part that a second encoding must promise to save of what the first took.
const WORTH: usize = 32;

/// A position and the value that belongs there.
pub(crate) type Patch = (usize, f64);

/// An encoding that may suit a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Candidate {
    /// At this scale.
    Decimal(u8, Transform),
    Dictionary(Transform),
    Near(Near, Transform),
    Ordered(Transform),
    Xor,
    /// With tails of so many bits.
    Split(u8),
}

/// Memory for encoding columns one after the other, and the shortest bytes of the last.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) sequences: SequenceWriter,
    pub(crate) ints: Vec<i64>,
    pub(crate) others: Vec<i64>,
    candidates: Vec<(usize, Candidate)>,
    misfits: Vec<Patch>,
    patches: Vec<Patch>,
    pub(crate) distinct: Distinct,
    /// The bytes of a dictionary's own values.
    pub(crate) own: Vec<u8>,
    trial: Vec<u8>,
    best: Vec<u8>,
    encoding: Encoding,
    stage: Stage,
    /// The decimal scale of the last column that had one.
    scale: u8,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            sequences: SequenceWriter::default(),
            ints: Vec::new(),
            others: Vec::new(),
            candidates: Vec::new(),
            misfits: Vec::new(),
            patches: Vec::new(),
            distinct: Distinct::default(),
            own: Vec::new(),
            trial: Vec::new(),
            best: Vec::new(),
            encoding: Encoding::Raw,
            stage: Stage::Packed,
            scale: 0,
        }
    }
}

impl Room {
    /// The chunk of the last column.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.best
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Encodes `column`, in which something stands in for the `stale` values.
    pub(crate) fn encode(&mut self, column: &[f64], stale: &[Patch], stage: Stage) {
        self.stage = stage;
        self.best.clear();
        let first = column.first().copied().unwrap_or(0.0);
        if is_constant(column, first) {
            self.patches.clear();
            self.patches.extend_from_slice(stale);
            return self.offer(Encoding::Constant, |_, out| number::put(out, first));
        }
        self.expect_decimals(column);
        let promising = !self.expects_more(DICTIONARY_FROM, column.len());
        if !promising {
            self.expect_dictionary(column);
        }
        self.try_candidates(column, stale);
        // What the sample promised need not hold for the rest.
        if promising && self.costs_more(DICTIONARY_FROM, column.len()) {
            self.expect_dictionary(column);
            self.try_candidates(column, stale);
        }
        if self.costs_more(NEAR_FROM, column.len()) {
            self.expect_near(column);
            self.try_candidates(column, stale);
        }
        if self.costs_more(BITS_FROM, column.len()) {
            self.expect_bits(column);
            self.try_candidates(column, stale);
        }
    }

    /// Tries the candidates, the most promising first, until the next promises no less than what
    /// was reached.
    fn try_candidates(&mut self, column: &[f64], stale: &[Patch]) {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.sort_by_key(|&(bits, _)| bits);
        for &(bits, candidate) in &candidates {
            // A promise of little more is not worth the time.
            if !self.best.is_empty() && bits + bits / WORTH >= self.best.len() * 8 {
                break;
            }
            self.misfits.clear();
            match candidate {
                Candidate::Decimal(scale, transform) => {
                    self.try_decimals(column, (scale, transform), stale);
                }
                Candidate::Dictionary(transform) => {
                    self.merge_patches(stale);
                    self.offer(Encoding::Dictionary, |room, out| {
                        dictionary::put(room, transform, out);
                    });
                }
                Candidate::Near(near, transform) => {
                    self.try_near(column, (near, transform), stale);
                }
                Candidate::Split(tail) => self.try_split(column, tail, stale),
                Candidate::Xor => {
                    self.merge_patches(stale);
                    self.offer(Encoding::Xor, |_, out| xor::put(column, out));
                }
                Candidate::Ordered(transform) => self.try_ordered(column, transform, stale),
            }
        }
        candidates.clear();
        self.candidates = candidates;
    }

    /// Encodes `values` as they are.
    pub(crate) fn encode_raw(&mut self, values: &[f64]) {
        self.best.clear();
        self.encoding = Encoding::Raw;
        put_tag(Encoding::Raw, &mut self.best);
        for value in values {
            self.best.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    }

    /// Whether the column is expected to cost more than `bits` bits per value so far.
    fn expects_more(&self, bits: usize, count: usize) -> bool {
        let least = self.candidates.iter().map(|&(bits, _)| bits).min();
        least.is_none_or(|least| least > bits * count)
    }

    /// Whether the column costs more than `bits` bits per value so far.
    fn costs_more(&self, bits: usize, count: usize) -> bool {
        self.best.is_empty() || self.best.len() * 8 > bits * count + 64
    }

    /// Notes that `sampled` values of `column` take `bits` bits by `candidate`.
    fn expect(&mut self, candidate: Candidate, bits: usize, sampled: usize, column: &[f64]) {
        let bits = bits.saturating_mul(column.len()) / sampled.max(1);
        self.candidates.push((bits, candidate));
    }

    /// Encodes by `body`, around which `patches` come, and keeps it when it is the shortest.
    fn offer(&mut self, encoding: Encoding, body: impl FnOnce(&mut Self, &mut Vec<u8>)) {
        let mut bytes = std::mem::take(&mut self.trial);
        bytes.clear();
        if !self.patches.is_empty() {
            put_patches(&self.patches, &mut bytes);
        }
        put_tag(encoding, &mut bytes);
        body(self, &mut bytes);
        if self.best.is_empty() || bytes.len() < self.best.len() {
            std::mem::swap(&mut self.best, &mut bytes);
            self.encoding = match self.patches.is_empty() {
                true => encoding,
                false => Encoding::Patched,
            };
        }
        self.trial = bytes;
    }

    /// Appends `values` as a sequence, by the transform that is `known` to be the best.
    pub(crate) fn put_sequence(
        &mut self,
        values: &[i64],
        known: Option<Transform>,
        out: &mut Vec<u8>,
    ) {
        let transforms = (TRANSFORMS.as_slice(), known);
        self.sequences.put(values, transforms, self.stage, out);
    }

    /// Appends `values` as a sequence without differences.
    pub(crate) fn put_plain(&mut self, values: &[i64], out: &mut Vec<u8>) {
        let transforms = [Transform::Plain];
        let transforms = (transforms.as_slice(), None);
        self.sequences.put(values, transforms, self.stage, out);
    }

    /// Sets the patches: `stale` and the misfits, of which a stale marker is what belongs there.
    fn merge_patches(&mut self, stale: &[Patch]) {
        self.patches.clear();
        self.patches.extend_from_slice(stale);
        if !self.misfits.is_empty() {
            self.patches.extend_from_slice(&self.misfits);
            self.patches.sort_by_key(|&(position, _)| position);
            self.patches.dedup_by_key(|&mut (position, _)| position);
        }
    }

    fn expect_decimals(&mut self, column: &[f64]) {
        // How many probes have each scale as their least.
        let mut scales = [0usize; MAX_SCALE as usize + 1];
        let (mut found, mut seen, mut hint) = (0, 0, self.scale);
        for value in probes(column) {
            seen += 1;
            if let Some(scale) = decimal::least_scale(value, hint) {
                scales[usize::from(scale)] += 1;
                found += 1;
                hint = scale;
            } else if (seen - found) * 4 > PROBES {
                return;
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
        self.scale = all;
        for scale in std::iter::once(all).chain((most < all).then_some(most)) {
            let (bits, transform) = self.scale_cost(column, scale);
            let candidate = Candidate::Decimal(scale, transform);
            self.expect(candidate, bits, sampled(column), column);
        }
    }

    /// Offers the column at `scale`, or at a wider one that some values ask for.
    fn try_decimals(
        &mut self,
        column: &[f64],
        (scale, transform): (u8, Transform),
        stale: &[Patch],
    ) {
        let mut wider = self.try_scale(column, (scale, transform), stale);
        // One more value may ask for a wider scale each time, but not for ever.
        for _ in 0..2 {
            // There are misfits beyond what patches may hold, or each costs as much as many digits.
            wider = wider.and_then(|wider| self.try_scale(column, (wider, transform), stale));
        }
    }

    /// Bits that a sample of the column takes at `scale`, roughly, and by which transform.
    fn scale_cost(&mut self, column: &[f64], scale: u8) -> (usize, Transform) {
        let parts = parts(column);
        let mut ints = std::mem::take(&mut self.ints);
        ints.clear();
        let mut misfits = 0;
        for part in parts {
            let start = ints.len();
            if decimal::extend_ints(part, scale, &mut ints) {
                continue;
            }
            ints.truncate(start);
            let mut last = 0;
            for &value in part {
                match decimal::to_int(value, scale) {
                    Some(int) => last = int,
                    None => misfits += 1,
                }
                ints.push(last);
            }
        }
        let (bits, transform) = self.sequences.cost(&ints, parts[0].len(), &TRANSFORMS);
        self.ints = ints;
        (bits + misfits * MISFIT_BITS, transform)
    }

    /// Offers the column at `scale`; returns a larger scale that values it refused would fit.
    fn try_scale(
        &mut self,
        column: &[f64],
        (scale, transform): (u8, Transform),
        stale: &[Patch],
    ) -> Option<u8> {
        let mut wider = None;
        let mut ints = std::mem::take(&mut self.ints);
        ints.clear();
        self.misfits.clear();
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
                self.misfits.push((index * BLOCK_SAMPLES + offset, value));
                if self.misfits.len() > column.len() / PATCH_SHARE {
                    self.ints = ints;
                    return wider;
                }
                ints.push(ints.last().copied().unwrap_or(0));
            }
        }
        self.merge_patches(stale);
        self.offer(Encoding::Decimal, |room, out| {
            out.push(scale);
            room.put_sequence(&ints, Some(transform), out);
        });
        self.ints = ints;
        wider
    }

    fn expect_dictionary(&mut self, column: &[f64]) {
        let sample = parts(column).into_iter().flatten();
        let ordered = sample.map(|&value| to_ordered(value));
        if !self.distinct.find(ordered, sampled(column) / 3) {
            return;
        }
        let ordered = column.iter().map(|&value| to_ordered(value));
        let most = MAX_DICTIONARY.min(column.len() / 3);
        if !self.distinct.find(ordered, most) {
            return;
        }
        self.distinct.sort();
        let (mut ints, sample) = (
            std::mem::take(&mut self.ints),
            parts(self.distinct.indexes()),
        );
        ints.clear();
        ints.extend(sample.into_iter().flatten());
        let (bits, transform) = self.sequences.cost(&ints, sample[0].len(), &TRANSFORMS);
        self.ints = ints;
        let own = self.distinct.found().len() * ENTRY_BITS;
        let own = own * sampled(column) / column.len().max(1);
        let candidate = Candidate::Dictionary(transform);
        self.expect(candidate, bits + own, sampled(column), column);
    }

    /// Looks for fractions that the values are only near to.
    fn expect_near(&mut self, column: &[f64]) {
        let sample = parts(column);
        let mut best: Option<(usize, Candidate)> = None;
        for near in Near::candidates(probes(column)) {
            let Some((cost, transform)) = self.near_cost(near, &sample) else {
                continue;
            };
            // From the best scale on each larger one costs more.
            if best.is_some_and(|best| cost >= best.0) {
                break;
            }
            best = Some((cost, Candidate::Near(near, transform)));
        }
        let most = NEAR_FROM * sampled(column);
        if best.is_none_or(|(bits, _)| bits > most)
            && let Some(near) = Near::quotient(probes(column))
            && let Some((cost, transform)) = self.near_cost(near, &sample)
            && best.is_none_or(|best| cost < best.0)
        {
            best = Some((cost, Candidate::Near(near, transform)));
        }
        if let Some((bits, candidate)) = best {
            self.expect(candidate, bits, sampled(column), column);
        }
    }

    fn try_near(&mut self, column: &[f64], (near, transform): (Near, Transform), stale: &[Patch]) {
        let mut ints = std::mem::take(&mut self.ints);
        let mut corrections = std::mem::take(&mut self.others);
        ints.clear();
        corrections.clear();
        near.map(column, &mut ints, &mut corrections, &mut self.misfits);
        if self.misfits.len() <= column.len() / PATCH_SHARE {
            self.merge_patches(stale);
            self.offer(near.encoding(), |room, out| {
                near.put((&ints, transform), &corrections, room, out);
            });
        }
        (self.ints, self.others) = (ints, corrections);
    }

    /// Bits that the sample takes by `near`, and by which transform; `None` when too little of it
    /// is near.
    fn near_cost(&mut self, near: Near, sample: &[&[f64]; 2]) -> Option<(usize, Transform)> {
        self.ints.clear();
        self.others.clear();
        let mut misfits = 0;
        for part in sample {
            self.misfits.clear();
            near.map(part, &mut self.ints, &mut self.others, &mut self.misfits);
            if self.misfits.len() > part.len() / PATCH_SHARE {
                return None;
            }
            misfits += self.misfits.len();
        }
        let cut = sample[0].len();
        let (bits, transform) = self.sequences.cost(&self.ints, cut, &TRANSFORMS);
        let (own, _) = self.sequences.cost(&self.others, cut, &[Transform::Plain]);
        Some((bits + own + misfits * MISFIT_BITS, transform))
    }

    /// Looks at what uses the bits of the floats.
    fn expect_bits(&mut self, column: &[f64]) {
        let sample = parts(column);
        let mut xor = 0;
        self.ints.clear();
        for part in sample {
            self.ints
                .extend(part.iter().map(|&value| to_ordered(value)));
            self.trial.clear();
            xor::put(part, &mut self.trial);
            xor += self.trial.len() * 8;
        }
        let cut = sample[0].len();
        let (ordered, transform) = self.sequences.cost(&self.ints, cut, &TRANSFORMS);
        let candidate = Candidate::Ordered(transform);
        self.expect(candidate, ordered, sampled(column), column);
        self.expect(Candidate::Xor, xor, sampled(column), column);
        let (bits, tail) = split::cost(&sample, column.len());
        self.candidates.push((bits, Candidate::Split(tail)));
    }

    fn try_ordered(&mut self, column: &[f64], transform: Transform, stale: &[Patch]) {
        self.merge_patches(stale);
        let mut ints = std::mem::take(&mut self.ints);
        ints.clear();
        ints.extend(column.iter().map(|&value| to_ordered(value)));
        self.offer(Encoding::Ordered, |room, out| {
            room.put_sequence(&ints, Some(transform), out);
        });
        self.ints = ints;
    }

    fn try_split(&mut self, column: &[f64], tail: u8, stale: &[Patch]) {
        let fronts = column.iter().map(|&value| split::front(value, tail));
        if self.distinct.find(fronts, MAX_DICTIONARY) {
            self.merge_patches(stale);
            self.offer(Encoding::Split, |room, out| {
                split::put(column, tail, room, out);
            });
        }
    }
}

/// Whether all of `column` is `first`, bit for bit.
fn is_constant(column: &[f64], first: f64) -> bool {
    let changes = |block: &[f64]| {
        let differences = block.iter().map(|value| value.to_bits() ^ first.to_bits());
        differences.fold(0, |all, difference| all | difference)
    };
    column.chunks(64).all(|block| changes(block) == 0)
}

/// Values in the sample that costs are expected by.
fn sampled(column: &[f64]) -> usize {
    parts(column).iter().map(|part| part.len()).sum()
}

pub(crate) fn put_tag(encoding: Encoding, out: &mut Vec<u8>) {
    out.push(tag::byte(Tag::Sealed(encoding), ValueKind::F64));
}

fn put_patches(patches: &[Patch], out: &mut Vec<u8>) {
    put_tag(Encoding::Patched, out);
    put_u64(out, patches.len() as u64);
    let mut next = 0;
    for &(position, value) in patches {
        put_u64(out, (position - next) as u64);
        number::put(out, value);
        next = position + 1;
    }
}

/// Values spread evenly over the column.
fn probes(column: &[f64]) -> impl Iterator<Item = f64> + Clone + '_ {
    column
        .iter()
        .copied()
        .step_by(column.len().div_ceil(PROBES).max(1))
}
