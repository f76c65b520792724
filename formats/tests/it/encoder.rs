//! Prometheus' chunks and log as plain writers of their documentation: one bit after another.

/// Bits, the highest of each byte first.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    pub(crate) fn bit(&mut self, bit: bool) {
        if self.used.is_multiple_of(8) {
            self.bytes.push(0);
        }
        let last = self.bytes.last_mut().unwrap();
        *last |= u8::from(bit) << (7 - self.used % 8);
        self.used += 1;
    }

    pub(crate) fn bits(&mut self, value: u64, count: u32) {
        for at in (0..count).rev() {
            self.bit(value >> at & 1 == 1);
        }
    }

    fn uvarint(&mut self, value: u64) {
        for byte in uvarint(value) {
            self.bits(u64::from(byte), 8);
        }
    }

    fn ones(&mut self, count: usize) {
        (0..count).for_each(|_| self.bit(true));
    }

    /// A number behind as many ones as its width asks for.
    pub(crate) fn varbit(&mut self, value: i64) {
        if value == 0 {
            return self.bit(false);
        }
        for (ones, width) in (1..).zip([3_u32, 6, 9, 12, 18, 25, 56]) {
            let most = 1_i64 << (width - 1);
            if (-most + 1..=most).contains(&value) {
                self.ones(ones);
                self.bit(false);
                return self.bits(value as u64 & ((1 << width) - 1), width);
            }
        }
        self.ones(8);
        self.bits(value as u64, 64);
    }

    pub(crate) fn unsigned_varbit(&mut self, value: u64) {
        if value == 0 {
            return self.bit(false);
        }
        for (ones, width) in (1..).zip([3_u32, 6, 9, 12, 18, 25, 56]) {
            if value >> width == 0 {
                self.ones(ones);
                self.bit(false);
                return self.bits(value, width);
            }
        }
        self.ones(8);
        self.bits(value, 64);
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

pub(crate) fn uvarint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

pub(crate) fn varint(value: i64) -> Vec<u8> {
    uvarint((value << 1 ^ value >> 63) as u64)
}

/// A float against the one before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Xor {
    bits: u64,
    window: Option<(u32, u32)>,
}

impl Xor {
    pub(crate) fn first(value: f64, out: &mut Bits) -> Self {
        out.bits(value.to_bits(), 64);
        Self {
            bits: value.to_bits(),
            window: None,
        }
    }

    pub(crate) fn next(&mut self, value: f64, out: &mut Bits) {
        let changed = self.bits ^ value.to_bits();
        self.bits = value.to_bits();
        if changed == 0 {
            return out.bit(false);
        }
        out.bit(true);
        let leading = changed.leading_zeros().min(31);
        let trailing = changed.trailing_zeros();
        if let Some((before, behind)) = self.window
            && leading >= before
            && trailing >= behind
        {
            out.bit(false);
            return out.bits(changed >> behind, 64 - before - behind);
        }
        self.window = Some((leading, trailing));
        out.bit(true);
        out.bits(u64::from(leading), 5);
        let significant = 64 - leading - trailing;
        out.bits(u64::from(significant % 64), 6);
        out.bits(changed >> trailing, significant);
    }
}

/// Floats by milliseconds.
pub(crate) fn floats(samples: &[(i64, f64)]) -> Vec<u8> {
    let mut out = Bits::default();
    let (mut value, mut before, mut delta) = (None::<Xor>, 0_i64, 0_i64);
    for (number, &(time, float)) in samples.iter().enumerate() {
        match number {
            0 => varint(time)
                .into_iter()
                .for_each(|byte| out.bits(u64::from(byte), 8)),
            1 => out.uvarint(time.wrapping_sub(before) as u64),
            _ => {
                let change = time.wrapping_sub(before).wrapping_sub(delta);
                let fits = |width: u32| {
                    let most = 1_i64 << (width - 1);
                    (-most + 1..=most).contains(&change)
                };
                match [14_u32, 17, 20].into_iter().position(fits) {
                    _ if change == 0 => out.bit(false),
                    Some(at) => {
                        out.ones(at + 1);
                        out.bit(false);
                        let width = [14_u32, 17, 20][at];
                        out.bits(change as u64 & ((1 << width) - 1), width);
                    }
                    None => {
                        out.ones(4);
                        out.bits(change as u64, 64);
                    }
                }
            }
        }
        if number > 0 {
            delta = time.wrapping_sub(before);
        }
        before = time;
        match &mut value {
            None => value = Some(Xor::first(float, &mut out)),
            Some(value) => value.next(float, &mut out),
        }
    }
    with_count(samples.len(), out)
}

/// How many samples, then what is told of them.
pub(crate) fn with_count(count: usize, bits: Bits) -> Vec<u8> {
    let mut bytes = u16::try_from(count).unwrap().to_be_bytes().to_vec();
    bytes.extend(bits.into_bytes());
    bytes
}
