//! Looking up a key in the bytes of a finite-state transducer of the `fst` crate, version 3.
//!
//! Input: a transducer that `fst` built, or any other bytes, and a key. Output: the key's number.
//! `fst`'s own reader trusts its bytes and panics where they are wrong; this one checks each
//! address. Source of the layout: `fst` 0.4, module `raw::node`: nodes are written child first
//! and read backwards from their last byte. Each key byte costs one node, so a lookup ends.

use treering_codec::varint::Reader;
use treering_codec::{Error, Result};

/// Version of the layout.
const VERSION: u64 = 3;
/// Version and type before the nodes.
const HEADER_BYTES: usize = 16;
/// Key count, root address and checksum behind the nodes.
const TRAILER_BYTES: usize = 20;
/// From this many transitions on, a node has a table of 256 bytes after its inputs.
const TABLE_ABOVE: usize = 32;
/// The input bytes that a node's first byte can hold itself, by that number minus one.
const COMMON_INPUTS: &[u8; 63] = b"te/oasripcnw.hlm-du012g=:bf3y5&_4v9678k%?xCDASFIBEjPTzRNM+LOqHG";

/// A transition to the node at an address; 0 is the final node without transitions.
struct Step {
    output: u64,
    address: usize,
}

/// The number of `key`.
pub(crate) fn get(bytes: &[u8], key: &[u8]) -> Result<Option<u64>> {
    let mut address = root(bytes)?;
    let mut number = 0u64;
    for &byte in key {
        match step(bytes, address, byte)? {
            Some(step) => {
                number = number.wrapping_add(step.output);
                address = step.address;
            }
            None => return Ok(None),
        }
    }
    Ok(final_output(bytes, address)?.map(|output| number.wrapping_add(output)))
}

fn root(bytes: &[u8]) -> Result<usize> {
    let truncated = Error::Truncated {
        offset: bytes.len(),
    };
    if bytes.len() < HEADER_BYTES + TRAILER_BYTES {
        return Err(truncated);
    }
    let found = Reader::new(bytes).u64()?;
    if found != VERSION {
        return Err(Error::Unsupported {
            offset: 0,
            what: "transducer version",
            found,
        });
    }
    let mut trailer = Reader::new(
        bytes
            .get(bytes.len() - TRAILER_BYTES + 8..)
            .unwrap_or_default(),
    );
    usize::try_from(trailer.u64()?).map_err(|_| damaged(bytes.len() - 12))
}

fn damaged(offset: usize) -> Error {
    Error::Malformed {
        offset,
        what: "a damaged transducer node",
    }
}

/// `count` bytes that end before `end`, and where they start.
fn before(bytes: &[u8], end: usize, count: usize) -> Result<(&[u8], usize)> {
    let start = end
        .checked_sub(count)
        .filter(|start| *start >= HEADER_BYTES);
    let start = start.ok_or(damaged(end))?;
    Ok((bytes.get(start..end).ok_or(damaged(end))?, start))
}

fn byte_at(bytes: &[u8], at: usize) -> Result<u8> {
    bytes
        .get(at)
        .copied()
        .filter(|_| at >= HEADER_BYTES)
        .ok_or(damaged(at))
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The address that lies `delta` before the end of a node; 0 stands for the final node.
fn target(delta: u64, end: usize) -> Result<usize> {
    if delta == 0 {
        return Ok(0);
    }
    usize::try_from(delta)
        .ok()
        .and_then(|delta| end.checked_sub(delta))
        .ok_or(damaged(end))
}

/// Bytes per address and per output of a node.
fn sizes(bytes: &[u8], at: usize) -> Result<(usize, usize)> {
    let packed = byte_at(bytes, at)?;
    let (address, output) = (usize::from(packed >> 4), usize::from(packed & 15));
    if address > 8 || output > 8 {
        Err(damaged(at))
    } else {
        Ok((address, output))
    }
}

/// The transition of the node at `address` for `input`.
fn step(bytes: &[u8], address: usize, input: u8) -> Result<Option<Step>> {
    if address == 0 {
        return Ok(None);
    }
    let state = byte_at(bytes, address)?;
    if state < 0x80 {
        return Branches::read(bytes, address, state)?.step(bytes, input);
    }
    let (found, end) = match usize::from(state & 0x3f).checked_sub(1) {
        Some(common) => (
            COMMON_INPUTS.get(common).copied().unwrap_or_default(),
            address,
        ),
        None => (byte_at(bytes, address - 1)?, address - 1),
    };
    if found != input {
        return Ok(None);
    }
    if state & 0x40 != 0 {
        // The only target is the node written just before.
        return Ok(Some(Step {
            output: 0,
            address: end - 1,
        }));
    }
    let (address_size, output_size) = sizes(bytes, end - 1)?;
    let (delta, at) = before(bytes, end - 1, address_size)?;
    let (output, start) = before(bytes, at, output_size)?;
    Ok(Some(Step {
        output: number(output),
        address: target(number(delta), start)?,
    }))
}

/// What the node at `address` adds if a key may end there.
fn final_output(bytes: &[u8], address: usize) -> Result<Option<u64>> {
    if address == 0 {
        return Ok(Some(0));
    }
    let state = byte_at(bytes, address)?;
    if state >= 0x80 {
        return Ok(None);
    }
    let branches = Branches::read(bytes, address, state)?;
    Ok((state & 0x40 != 0).then(|| number(branches.final_output)))
}

/// A node of any number of transitions; its tables are in descending order of the inputs.
struct Branches<'a> {
    inputs: &'a [u8],
    addresses: &'a [u8],
    address_size: usize,
    outputs: &'a [u8],
    output_size: usize,
    final_output: &'a [u8],
    start: usize,
}

impl<'a> Branches<'a> {
    fn read(bytes: &'a [u8], address: usize, state: u8) -> Result<Self> {
        let (count, end) = match usize::from(state & 0x3f) {
            0 => (usize::from(byte_at(bytes, address - 1)?), address - 1),
            count => (count, address),
        };
        // A count of 1 fits the first byte, so in the second it stands for 256.
        let count = if end < address && count == 1 {
            256
        } else {
            count
        };
        let (address_size, output_size) = sizes(bytes, end - 1)?;
        let table = if count > TABLE_ABOVE { 256 } else { 0 };
        let (_, at) = before(bytes, end - 1, table)?;
        let (inputs, at) = before(bytes, at, count)?;
        let (addresses, at) = before(bytes, at, count * address_size)?;
        let (outputs, at) = before(bytes, at, count * output_size)?;
        let final_size = if state & 0x40 != 0 { output_size } else { 0 };
        let (final_output, start) = before(bytes, at, final_size)?;
        Ok(Self {
            inputs,
            addresses,
            address_size,
            outputs,
            output_size,
            final_output,
            start,
        })
    }

    fn step(&self, bytes: &[u8], input: u8) -> Result<Option<Step>> {
        let Some(at) = self.inputs.iter().position(|found| *found == input) else {
            return Ok(None);
        };
        let entry = |table: &'a [u8], size: usize| table.get(at * size..(at + 1) * size);
        let delta = entry(self.addresses, self.address_size).ok_or(damaged(bytes.len()))?;
        let output = entry(self.outputs, self.output_size).ok_or(damaged(bytes.len()))?;
        let address = target(number(delta), self.start)?;
        Ok(Some(Step {
            output: number(output),
            address,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn build(keys: &BTreeMap<Vec<u8>, u64>) -> Vec<u8> {
        let mut builder = fst::MapBuilder::memory();
        keys.iter()
            .for_each(|(key, number)| builder.insert(key, *number).unwrap());
        builder.into_inner().unwrap()
    }

    fn keys() -> impl Strategy<Value = BTreeMap<Vec<u8>, u64>> {
        let short = prop::collection::vec(0u8..4, 0..5);
        let wide = prop::collection::vec(any::<u8>(), 0..3);
        let text = "[a-c_/0-9Z~]{0,8}".prop_map(String::into_bytes);
        let key = prop_oneof![short, wide, text];
        prop::collection::btree_map(key, prop_oneof![0u64..300, any::<u64>()], 0..400)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn every_key_is_found_and_no_other(keys in keys(), others in keys()) {
            let bytes = build(&keys);
            for key in keys.keys().chain(others.keys()) {
                prop_assert_eq!(get(&bytes, key).unwrap(), keys.get(key).copied());
            }
        }

        #[test]
        fn damaged_bytes_never_panic(
            keys in keys(),
            at in any::<prop::sample::Index>(),
            byte: u8,
            cut in 0usize..3,
        ) {
            let mut bytes = build(&keys);
            bytes.truncate(bytes.len() - cut);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            for key in keys.keys() {
                let _ = get(&bytes, key);
            }
        }
    }

    #[test]
    fn a_node_may_have_all_256_transitions() {
        let keys = (0..=255u8)
            .map(|byte| (vec![byte, byte], u64::from(byte)))
            .collect();
        let bytes = build(&keys);
        for (key, number) in &keys {
            assert_eq!(get(&bytes, key).unwrap(), Some(*number));
        }
        assert_eq!(get(&bytes, b"").unwrap(), None);
    }
}
