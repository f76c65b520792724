//! Walks the frames of a WAL file, and goes on behind what is none.
//!
//! Input: the bytes of one file, and its seed. Output: each frame whose checksum is right, and each
//! stretch of bytes between two of them in which none begins. Invariant: the stretches lie end to
//! end, and none is empty. Whether a bad one is damage, or a tail that nobody was promised, is for
//! whoever asks: repair, verify and recovery tell it by different signs.

use super::format::{ALIGN, FrameHeader};

/// A stretch of a WAL file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stretch<'a> {
    /// Offset, header and payload.
    Frame(usize, FrameHeader, &'a [u8]),
    /// Offsets of bytes that are no frame: from, to.
    Bad(usize, usize),
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Stretches<'a> {
    seed: u32,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Stretches<'a> {
    /// The stretches of `bytes` from the offset `from`, rounded up to where a frame may begin, on.
    pub(crate) fn of(seed: u32, bytes: &'a [u8], from: usize) -> Self {
        let at = from.next_multiple_of(ALIGN);
        Self { seed, bytes, at }
    }

    fn frame(&self, at: usize) -> Option<(FrameHeader, &'a [u8])> {
        FrameHeader::open(self.seed, self.bytes.get(at..)?)
    }
}

impl<'a> Iterator for Stretches<'a> {
    type Item = Stretch<'a>;

    fn next(&mut self) -> Option<Stretch<'a>> {
        let at = self.at;
        if at >= self.bytes.len() {
            return None;
        }
        if let Some((header, payload)) = self.frame(at) {
            self.at += header.stride() as usize;
            return Some(Stretch::Frame(at, header, payload));
        }
        let mut later = (at + ALIGN..self.bytes.len()).step_by(ALIGN);
        self.at = later
            .find(|&at| self.frame(at).is_some())
            .unwrap_or(self.bytes.len());
        Some(Stretch::Bad(at, self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::format::{FRAME_HEADER_BYTES, FrameKind};
    use proptest::prelude::*;
    use treering_codec::crc32;

    const SEED: u32 = 7;

    /// Frames with these payloads, one behind the other, and where each begins.
    fn file(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut starts) = (Vec::new(), Vec::new());
        for (number, payload) in payloads.iter().enumerate() {
            starts.push(bytes.len());
            let header = FrameHeader {
                len: payload.len() as u32,
                kind: FrameKind::Batch as u8,
                flags: [0; 7],
                sequence: number as u64,
                synced: 0,
            };
            let mut padded = payload.clone();
            padded.resize(payload.len().next_multiple_of(ALIGN), 0);
            bytes.extend(header.seal(SEED, crc32(0, &padded)));
            bytes.extend(padded);
        }
        (bytes, starts)
    }

    proptest! {
        #[test]
        fn parts_lie_end_to_end_and_only_damaged_frames_are_missing(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..12),
            damage in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
            cut in 0usize..30,
        ) {
            let (mut bytes, starts) = file(&payloads);
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            let whole = bytes.clone();
            for (at, byte) in damage {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] ^= byte;
                }
            }
            let ends = starts[1..].iter().copied().chain([usize::MAX]);
            let hit = |from: usize, to: usize| {
                let to = to.min(whole.len());
                whole.get(from..to) != bytes.get(from..to)
            };
            let mut frames: Vec<usize> = Vec::new();
            let mut end = 0;
            for part in Stretches::of(SEED, &bytes, 0) {
                let (from, to) = match part {
                    Stretch::Frame(at, header, payload) => {
                        let number = header.sequence as usize;
                        prop_assert_eq!((at, payload), (starts[number], &*payloads[number]));
                        frames.push(number);
                        (at, at + header.stride() as usize)
                    }
                    Stretch::Bad(from, to) => (from, to),
                };
                prop_assert!(from == end && to > from);
                end = to;
            }
            prop_assert_eq!(end, bytes.len());
            for (number, (&start, end)) in starts.iter().zip(ends).enumerate() {
                let stride = (FRAME_HEADER_BYTES + payloads[number].len()).next_multiple_of(ALIGN);
                let is_whole = start + stride <= bytes.len() && !hit(start, end);
                prop_assert!(!is_whole || frames.contains(&number), "frame {} is missing", number);
            }
        }
    }

    #[test]
    fn a_walk_begins_where_a_frame_may() {
        let (bytes, starts) = file(&[vec![1; 3], vec![2; 5]]);
        let first = |from| Stretches::of(SEED, &bytes, from).next();
        let Some(Stretch::Frame(at, header, payload)) = first(starts[1] - 3) else {
            panic!("no frame");
        };
        assert_eq!((at, header.sequence, payload), (starts[1], 1, &[2; 5][..]));
        assert_eq!(first(8), Some(Stretch::Bad(8, starts[1])));
        assert_eq!(first(bytes.len()), None);
        // Frames of another file are none.
        assert_eq!(
            Stretches::of(8, &bytes, 0).next(),
            Some(Stretch::Bad(0, bytes.len()))
        );
    }
}
