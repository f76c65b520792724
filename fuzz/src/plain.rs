//! A plain reader of sealed columns, written from `docs/format/chunk.md`: one value after the other,
//! nothing fast, nothing shared with the codec.
//!
//! Input: any bytes and, for values, a count. Output: the bits of the values or the timestamps;
//! `None` where the page says that these bytes are damage. Encodings that this reader does not know
//! are [`Unknown`](Read::Unknown): the comparison passes over them.

/// Most samples of a column.
const SAMPLES_MAX: usize = 8192;
const BLOCK: usize = 128;
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// What came of reading.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read<T> {
    /// The column.
    Column(Vec<T>),
    /// No encoder wrote these bytes.
    Damage,
    /// An encoding that is not on this reader's page.
    Unknown,
}

impl<T> From<Option<Vec<T>>> for Read<T> {
    fn from(column: Option<Vec<T>>) -> Self {
        column.map_or(Self::Damage, Self::Column)
    }
}

/// The bits of a value column.
pub(crate) fn values(data: &[u8], count: usize) -> Read<u64> {
    if count > SAMPLES_MAX {
        return Read::Damage;
    }
    match has_unknown(data) {
        true => Read::Unknown,
        false => column(data, count, 2).into(),
    }
}

/// A timestamp column.
pub(crate) fn times(data: &[u8]) -> Read<i64> {
    match data.first().map(|tag| tag & 127) {
        Some(3..) => Read::Unknown,
        _ => times_of(data).into(),
    }
}

/// Whether the column, or one that it holds, is of an encoding behind those that are known here.
fn has_unknown(data: &[u8]) -> bool {
    let Some((&tag, rest)) = data.split_first() else {
        return false;
    };
    let mut bytes = Bytes(rest);
    match (tag >> 5, tag & 31) {
        (1, 11..=30) | (2, 0) => true,
        (1, 7) => skip_patches(&mut bytes).is_some() && has_unknown(bytes.0),
        (1, 5) => inner_of_dictionary(&mut bytes).is_some_and(|(_, inner)| has_unknown(inner)),
        _ => false,
    }
}

fn skip_patches(bytes: &mut Bytes<'_>) -> Option<()> {
    for _ in 0..bytes.varint()? {
        bytes.varint()?;
        bytes.number()?;
    }
    Some(())
}

fn inner_of_dictionary<'a>(bytes: &mut Bytes<'a>) -> Option<(usize, &'a [u8])> {
    let distinct = bytes.varint()?;
    let length = bytes.varint()?;
    let inner = bytes.take(usize::try_from(length).ok()?)?;
    (distinct <= 256).then_some((distinct as usize, inner))
}

/// `depth` 2 may be patched or a dictionary, 1 a dictionary, 0 neither.
fn column(data: &[u8], count: usize, depth: u8) -> Option<Vec<u64>> {
    let mut bytes = Bytes(data);
    let tag = bytes.byte()?;
    if tag >> 5 != 1 {
        return None;
    }
    let out = match tag & 31 {
        0 => (0..count).map(|_| bytes.word()).collect::<Option<_>>()?,
        1 => vec![bytes.number()?; count],
        2 => xor(&mut bytes, count)?,
        3 => {
            let scale = bytes.scale()?;
            let ints = sequence(&mut bytes, count)?.into_iter();
            ints.map(|int| quotient(int, scale)).collect()
        }
        4 => {
            let scale = bytes.scale()?;
            let ints = sequence(&mut bytes, count)?;
            let ulps = sequence(&mut bytes, count)?;
            let pairs = ints.into_iter().zip(ulps);
            pairs
                .map(|(int, ulps)| quotient(int, scale).wrapping_add(ulps as u64))
                .collect()
        }
        5 if depth >= 1 => dictionary(&mut bytes, count)?,
        6 => {
            let ints = sequence(&mut bytes, count)?.into_iter();
            ints.map(|int| int as u64 ^ ((int >> 63) as u64 >> 1))
                .collect()
        }
        7 if depth >= 2 => patched(&mut bytes, count)?,
        8 => decimal_32(&mut bytes, count)?,
        9 => split(&mut bytes, count)?,
        10 => over_divisor(&mut bytes, count)?,
        _ => return None,
    };
    bytes.0.is_empty().then_some(out)
}

fn dictionary(bytes: &mut Bytes<'_>, count: usize) -> Option<Vec<u64>> {
    let (distinct, inner) = inner_of_dictionary(bytes)?;
    let words = column(inner, distinct, 0)?;
    let indexes = sequence(bytes, count)?.into_iter();
    indexes
        .map(|index| words.get(usize::try_from(index).ok()?).copied())
        .collect()
}

fn patched(bytes: &mut Bytes<'_>, count: usize) -> Option<Vec<u64>> {
    let mut patches = Vec::new();
    let mut position = 0u64;
    for _ in 0..bytes.varint()? {
        position = position.checked_add(bytes.varint()?)?;
        let value = bytes.number()?;
        if position >= count as u64 {
            return None;
        }
        patches.push((position as usize, value));
        position += 1;
    }
    let mut out = column(bytes.0, count, 1)?;
    for (position, value) in patches {
        out[position] = value;
    }
    bytes.0 = &[];
    Some(out)
}

fn decimal_32(bytes: &mut Bytes<'_>, count: usize) -> Option<Vec<u64>> {
    let scale = bytes.byte()?;
    let (is_corrected, scale) = (scale & 128 != 0, u32::from(scale & 127));
    if scale > 22 {
        return None;
    }
    let ints = sequence(bytes, count)?;
    let ulps = match is_corrected {
        true => sequence(bytes, count)?,
        false => vec![0; count],
    };
    let pairs = ints.into_iter().zip(ulps);
    let near = pairs.map(|(int, ulps)| {
        let single = f64::from_bits(quotient(int, scale)) as f32;
        f64::from(f32::from_bits(single.to_bits().wrapping_add(ulps as u32))).to_bits()
    });
    Some(near.collect())
}

fn over_divisor(bytes: &mut Bytes<'_>, count: usize) -> Option<Vec<u64>> {
    let head = bytes.varint()?;
    let divisor = u32::try_from(head >> 1)
        .ok()
        .filter(|&divisor| divisor > 0)?;
    let ints = sequence(bytes, count)?;
    let ulps = match head & 1 {
        0 => vec![0; count],
        _ => sequence(bytes, count)?,
    };
    let over = |int: i64| (int as f64 / f64::from(divisor)).to_bits();
    let pairs = ints.into_iter().zip(ulps);
    Some(
        pairs
            .map(|(int, ulps)| over(int).wrapping_add(ulps as u64))
            .collect(),
    )
}

fn split(bytes: &mut Bytes<'_>, count: usize) -> Option<Vec<u64>> {
    let tail = u32::from(bytes.byte()?);
    let distinct = bytes.varint()?;
    if !(36..=56).contains(&tail) || distinct > 256 {
        return None;
    }
    let fronts = sequence(bytes, distinct as usize)?;
    let indexes = sequence(bytes, count)?;
    let tails = bytes.packed(count, tail)?;
    let pairs = indexes.into_iter().zip(tails);
    pairs
        .map(|(index, rest)| {
            let front = *fronts.get(usize::try_from(index).ok()?)?;
            Some((front as u64) << tail | rest)
        })
        .collect()
}

fn xor(bytes: &mut Bytes<'_>, count: usize) -> Option<Vec<u64>> {
    let mut bits = Bits::new(bytes.0);
    let (mut out, mut low, mut width) = (Vec::new(), 0, 0);
    for index in 0..count {
        let last = match out.last() {
            None => 0,
            Some(last) => *last,
        };
        if index == 0 {
            out.push(bits.take(64)?);
            continue;
        }
        if bits.take(1)? == 0 {
            out.push(last);
            continue;
        }
        if bits.take(1)? == 1 {
            (low, width) = (bits.take(6)? as u32, bits.take(6)? as u32 + 1);
        }
        // Bits that a window pushes out above are gone.
        out.push(last ^ bits.take(width)? << low);
    }
    bytes.0 = bits.rest();
    Some(out)
}

fn quotient(int: i64, scale: u32) -> u64 {
    (int as f64 / 10u128.pow(scale) as f64).to_bits()
}

fn sequence(bytes: &mut Bytes<'_>, count: usize) -> Option<Vec<i64>> {
    let head = bytes.byte()?;
    if head > 31 {
        return None;
    }
    let unit = if head & 4 != 0 {
        bytes.varint()? as i64
    } else {
        1
    };
    let origin = if head & 8 != 0 { bytes.zigzag()? } else { 0 };
    let step = if head & 2 != 0 { bytes.zigzag()? } else { 0 };
    let residuals = match head & 16 {
        0 => blocks(bytes, count)?,
        _ => coded(bytes, count)?,
    };
    let (mut last, mut slope) = (origin, unit.wrapping_mul(step));
    let mut out = Vec::new();
    for (index, residual) in (0i64..).zip(residuals) {
        let scaled = unit.wrapping_mul(residual);
        last = match head & 3 {
            0 => origin.wrapping_add(scaled),
            1 => last.wrapping_add(scaled),
            2 => {
                slope = slope.wrapping_add(scaled);
                last.wrapping_add(slope)
            }
            _ => {
                let line = index.wrapping_mul(step).wrapping_add(residual);
                origin.wrapping_add(unit.wrapping_mul(line))
            }
        };
        out.push(last);
    }
    Some(out)
}

fn blocks(bytes: &mut Bytes<'_>, count: usize) -> Option<Vec<i64>> {
    let mut out = Vec::new();
    let mut base = 0;
    while out.len() < count {
        let filled = BLOCK.min(count - out.len());
        out.extend(block(bytes, filled, &mut base)?);
    }
    Some(out)
}

fn block(bytes: &mut Bytes<'_>, count: usize, base: &mut i64) -> Option<Vec<i64>> {
    let head = bytes.byte()?;
    let width = u32::from(head & 63);
    if head & 64 != 0 {
        *base = base.wrapping_add(bytes.zigzag()?);
    }
    let mut patches = Vec::new();
    let mut form = 0;
    if head & 128 != 0 {
        let patch_count = usize::from(bytes.byte()?);
        form = bytes.byte()?;
        if patch_count > count || !(1..=64).contains(&(form & 127)) {
            return None;
        }
        let positions = match form & 128 {
            0 => bytes
                .take(patch_count)?
                .iter()
                .map(|&at| at.into())
                .collect(),
            _ => positions(bytes, patch_count, count)?,
        };
        let packed = bytes.packed(patch_count, u32::from(form & 127))?;
        patches = positions.into_iter().zip(packed).collect();
    }
    if width > 56 {
        return None;
    }
    let packed = bytes.packed(count, width)?.into_iter();
    let mut out: Vec<i64> = packed
        .map(|field| base.wrapping_add(field as i64))
        .collect();
    for (position, patch) in patches {
        let value = out.get_mut(usize::try_from(position).ok()?)?;
        *value = match form & 128 {
            0 => base.wrapping_add(unzigzag(patch)),
            _ => value.wrapping_add(unzigzag(patch) << width),
        };
    }
    Some(out)
}

/// Positions of patches that rise: a list, or a bit for every value.
fn positions(bytes: &mut Bytes<'_>, patches: usize, count: usize) -> Option<Vec<u64>> {
    let out: Vec<u64> = match (patches * 7).div_ceil(8) <= count.div_ceil(8) {
        true => bytes.packed(patches, 7)?,
        false => {
            let flags = bytes.packed(count.next_multiple_of(8), 1)?;
            (0..)
                .zip(flags)
                .filter(|(_, flag)| *flag == 1)
                .map(|(at, _)| at)
                .collect()
        }
    };
    (out.len() == patches && out.is_sorted_by(|a, b| a < b)).then_some(out)
}

/// What a state of an entropy-coded sequence means.
#[derive(Clone, Copy)]
struct State {
    low: i64,
    width: u32,
    /// Bits to read for the next state, and what they are added to.
    more: u32,
    base: usize,
}

fn coded(bytes: &mut Bytes<'_>, count: usize) -> Option<Vec<i64>> {
    let mut bits = Bits::new(bytes.0);
    let size = bits.take(4)? as u32;
    if !(4..=10).contains(&size) {
        return None;
    }
    let table = coded_states(&coded_bins(&mut bits, 1 << size)?, size);
    let mut states = [bits.take(size)? as usize, bits.take(size)? as usize];
    let mut out = Vec::new();
    for index in 0..count {
        let state = &mut states[index % 2];
        let State {
            low,
            width,
            more,
            base,
        } = table[*state];
        out.push(low.wrapping_add(bits.take(width)? as i64));
        *state = base + bits.take(more)? as usize;
    }
    bytes.0 = bits.rest();
    Some(out)
}

/// Lower end, width and weight of each bin.
fn coded_bins(bits: &mut Bits<'_>, states: u64) -> Option<Vec<(i64, u32, u64)>> {
    let count = bits.gamma()? + 1;
    let length = bits.take(7)? as u32;
    if count > 256 || length > 64 {
        return None;
    }
    let mut low = unzigzag(bits.take(length)?);
    let (mut width, mut left) = (0i64, states);
    let mut bins = Vec::new();
    for index in 1..=count {
        if index > 1 {
            low = low.wrapping_add(bits.gamma()? as i64);
        }
        width = width.wrapping_add(unzigzag(bits.gamma()?));
        let weight = if index < count {
            bits.gamma()? + 1
        } else {
            left
        };
        if !(0..=46).contains(&width) || weight == 0 || weight > left {
            return None;
        }
        left -= weight;
        bins.push((low, width as u32, weight));
        low = low.wrapping_add(1 << width);
    }
    Some(bins)
}

fn coded_states(bins: &[(i64, u32, u64)], size: u32) -> Vec<State> {
    let total = 1usize << size;
    let mut owners = vec![0; total];
    let mut position = 0;
    for (index, &(_, _, weight)) in bins.iter().enumerate() {
        for _ in 0..weight {
            owners[position] = index;
            position = (position + 5 * (total >> 3) + 3) % total;
        }
    }
    let mut numbers: Vec<u64> = bins.iter().map(|&(_, _, weight)| weight).collect();
    let state = |owner: usize| {
        let number = numbers[owner];
        numbers[owner] += 1;
        let more = size - number.ilog2();
        let (low, width, _) = bins[owner];
        State {
            low,
            width,
            more,
            base: ((number as usize) << more) - total,
        }
    };
    owners.into_iter().map(state).collect()
}

fn times_of(data: &[u8]) -> Option<Vec<i64>> {
    let mut bytes = Bytes(data);
    let tag = bytes.byte()?;
    let count = usize::try_from(bytes.varint()?).ok()?;
    if count > SAMPLES_MAX {
        return None;
    }
    let out = match (count, tag & 127) {
        (0, _) => Vec::new(),
        (_, 0) => {
            let words = (0..count).map(|_| bytes.word());
            words
                .map(|word| Some(word? as i64))
                .collect::<Option<_>>()?
        }
        (_, tag) => {
            let digits = u32::from(bytes.byte()?);
            let first = bytes.zigzag()?.wrapping_mul(power(digits & 15));
            let unit = bytes.zigzag()?.wrapping_mul(power(digits >> 4));
            let line = |step: i64| first.wrapping_add(unit.wrapping_mul(step));
            if tag == 1 {
                (0..count as i64).map(line).collect()
            } else {
                let last = line(bytes.zigzag()?);
                let steps = sequence(&mut bytes, count)?;
                let out: Vec<i64> = steps.into_iter().map(line).collect();
                if out.first() != Some(&first) || out.last() != Some(&last) {
                    return None;
                }
                out
            }
        }
    };
    if (tag & 128 != 0) != out.is_sorted_by(|a, b| a < b) {
        return None;
    }
    bytes.0.is_empty().then_some(out)
}

fn power(digits: u32) -> i64 {
    10i64.pow(digits)
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn word(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0u128;
        for index in 0..10 {
            let byte = self.byte()?;
            number |= u128::from(byte & 127) << (7 * index);
            if byte < 128 {
                return u64::try_from(number).ok();
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        self.varint().map(unzigzag)
    }

    fn scale(&mut self) -> Option<u32> {
        self.byte().filter(|scale| *scale <= 22).map(u32::from)
    }

    fn number(&mut self) -> Option<u64> {
        match self.byte()? {
            head @ 0..160 => Some(f64::from(head).to_bits()),
            head @ 160..=178 => Some(quotient(self.zigzag()?, u32::from(head) - 160)),
            head @ 192..=199 => {
                let mut word = [0; 8];
                let high = self.take(usize::from(head) - 191)?;
                word[..high.len()].copy_from_slice(high);
                Some(u64::from_be_bytes(word))
            }
            224 => Some(STALE),
            _ => None,
        }
    }

    fn packed(&mut self, count: usize, width: u32) -> Option<Vec<u64>> {
        let bytes = self.take((count * width as usize).div_ceil(8))?;
        let mut bits = Bits::new(bytes);
        (0..count).map(|_| bits.take(width)).collect()
    }
}

/// Bits from the least significant one of each byte on, one by one.
struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    fn take(&mut self, count: u32) -> Option<u64> {
        let mut field = 0;
        for bit in 0..count {
            let byte = self.bytes.get(self.position / 8)?;
            field |= u64::from(byte >> (self.position % 8) & 1) << bit;
            self.position += 1;
        }
        Some(field)
    }

    fn gamma(&mut self) -> Option<u64> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
        }
        // The codec reads longer ones as some number; no encoder writes them.
        (zeros <= 56).then_some(())?;
        Some((self.take(zeros)? | 1 << zeros) - 1)
    }

    /// The bytes of which no bit was read.
    fn rest(&self) -> &'a [u8] {
        self.bytes
            .get(self.position.div_ceil(8)..)
            .unwrap_or_default()
    }
}
