//! One f64 in as few bytes as it needs: small integers in one, decimals in two to nine.
//!
//! Head byte: 0-159 that integer; 160-178 a decimal of scale head - 160, its integer follows as a
//! zigzag varint; 192-199 the 1 to 8 high bytes of the bits follow, the others are zero; 224 the
//! stale marker. The other heads are reserved. Bit-exact for every value.

use crate::decimal::{self, MAX_SCALE};
use crate::error::{Error, Result};
use crate::sample::{STALE_MARKER_BITS, stale_marker};
use crate::varint::{Reader, put_i64};

const SMALL_END: u8 = 160;
const DECIMAL: u8 = 160;
const HIGH_BYTES: u8 = 192;
const STALE: u8 = 224;

/// Appends `value`.
pub(crate) fn put(out: &mut Vec<u8>, value: f64) {
    let bits = value.to_bits();
    if bits == STALE_MARKER_BITS {
        return out.push(STALE);
    }
    let high = 8 - usize::try_from(bits.trailing_zeros() / 8)
        .unwrap_or(8)
        .min(7);
    if let Some((int, scale)) = decimal::find(value, 0, MAX_SCALE) {
        if scale == 0 && (0..i64::from(SMALL_END)).contains(&int) {
            return out.push(int as u8);
        }
        let start = out.len();
        out.push(DECIMAL + scale);
        put_i64(out, int);
        if out.len() - start <= high + 1 {
            return;
        }
        out.truncate(start);
    }
    out.push(HIGH_BYTES + high as u8 - 1);
    out.extend(bits.to_be_bytes().iter().take(high));
}

/// Reads what [`put`] appended.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<f64> {
    let offset = reader.offset();
    let head = reader.u8()?;
    if head < SMALL_END {
        Ok(f64::from(head))
    } else if head <= DECIMAL + MAX_SCALE {
        Ok(decimal::to_f64(reader.varint_i64()?, head - DECIMAL))
    } else if (HIGH_BYTES..HIGH_BYTES + 8).contains(&head) {
        let bytes = reader.take(usize::from(head - HIGH_BYTES) + 1)?;
        let mut bits = [0; 8];
        for (to, from) in bits.iter_mut().zip(bytes) {
            *to = *from;
        }
        Ok(f64::from_bits(u64::from_be_bytes(bits)))
    } else if head == STALE {
        Ok(stale_marker())
    } else {
        Err(Error::Unsupported {
            offset,
            what: "form of a number",
            found: head.into(),
        })
    }
}

/// Passes over what [`put`] appended.
pub(crate) fn skip(reader: &mut Reader<'_>) -> Result<()> {
    let head = reader.u8()?;
    if (SMALL_END..=DECIMAL + MAX_SCALE).contains(&head) {
        reader.skip_varints(1)
    } else if (HIGH_BYTES..HIGH_BYTES + 8).contains(&head) {
        reader.take(usize::from(head - HIGH_BYTES) + 1).map(|_| ())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn length(value: f64) -> usize {
        let mut bytes = Vec::new();
        put(&mut bytes, value);
        let mut reader = Reader::new(&bytes);
        assert_eq!(read(&mut reader).unwrap().to_bits(), value.to_bits());
        assert!(reader.is_empty());
        bytes.len()
    }

    proptest! {
        #[test]
        fn any_number_comes_back_in_at_most_nine_bytes(bits: u64, int: i32, scale in 0i32..9) {
            prop_assert!(length(f64::from_bits(bits)) <= 9);
            prop_assert!(length(f64::from(int) / 10f64.powi(scale)) <= 6);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(&bytes);
            if read(&mut reader).is_ok() {
                prop_assert!(reader.offset() <= 11);
            }
        }
    }

    #[test]
    fn common_numbers_are_short() {
        assert_eq!(length(0.0), 1);
        assert_eq!(length(159.0), 1);
        assert_eq!(length(stale_marker()), 1);
        assert_eq!(length(0.5), 2);
        assert_eq!(length(-0.0), 2);
        assert_eq!(length(f64::INFINITY), 3);
        assert_eq!(length(f64::from_bits(1)), 9);
    }
}
