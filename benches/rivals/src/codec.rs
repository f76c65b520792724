//! What every codec of the bench is: columns to bytes and back.
//!
//! Input: one chunk's timestamps (nanoseconds, and in the unit that rivals are given) and values.
//! Output: bytes that hold what the codec keeps of them; the count stands outside, as it does in a
//! directory. Encoders append to a buffer that is used again, so do decoders.

/// One chunk as it came from the corpus.
#[derive(Clone, Copy)]
pub(crate) struct Column<'a> {
    /// Nanoseconds.
    pub(crate) nanos: &'a [i64],
    /// The same in milliseconds where all are whole ones (in every corpus they are), else as they
    /// are: rivals know no unit, and would pay for zeros.
    pub(crate) millis: &'a [i64],
    /// Values.
    pub(crate) values: &'a [f64],
}

/// What a decoder appends to.
#[derive(Default)]
pub(crate) struct Decoded {
    pub(crate) times: Vec<i64>,
    pub(crate) values: Vec<f64>,
}

impl Decoded {
    pub(crate) fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
    }
}

/// What of a chunk a codec keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Holds {
    Values,
    /// Timestamps; the decoder gives nanoseconds (`true`) or the rival's unit.
    Times(bool),
    /// Both, timestamps likewise.
    Samples(bool),
}

/// One codec. Decoders panic or give something else when they are given what they did not write;
/// the bench compares everything.
pub(crate) trait Codec {
    /// As in the tables.
    fn name(&self) -> &'static str;
    /// Appends the bytes of a chunk.
    fn encode(&mut self, column: Column<'_>, out: &mut Vec<u8>);
    /// Appends what the bytes of a chunk of `count` samples hold.
    fn decode(&mut self, bytes: &[u8], count: usize, out: &mut Decoded);
}

/// Whether decoded columns are those of the chunk, bit for bit.
pub(crate) fn is_same(holds: Holds, column: Column<'_>, out: &Decoded) -> bool {
    let values = || {
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
        bits(&out.values) == bits(column.values)
    };
    let times = |nanos| out.times == if nanos { column.nanos } else { column.millis };
    match holds {
        Holds::Values => values(),
        Holds::Times(nanos) => times(nanos),
        Holds::Samples(nanos) => times(nanos) && values(),
    }
}
