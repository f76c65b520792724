//! Writer of the immutable index of a block.
//!
//! Input: label sets in label order. Output: bytes for [`IndexReader`](crate::IndexReader), laid
//! out as `docs/format/index.md` says. Invariant: the same label sets give the same bytes.

use std::io::{self, BufWriter, Write};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use treering_codec::varint::{put_bytes, put_i64, put_u64, zigzag};
use treering_codec::{crc32, crc32_parts};

use crate::error::{Error, Result};
use crate::fast;
use crate::format::*;
use crate::labels::Labels;
use crate::lists;
use crate::memory::MemIndex;
use crate::symbols::Name;
use crate::text::short_text;

/// About the most bytes that are handed out at a time.
const PIECE_BYTES: usize = 32 << 10;

/// Makes the bytes of an immutable index from label sets in label order.
///
/// ```
/// use treering_index::{IndexReader, IndexWriter, Selector, labels};
/// let mut writer = IndexWriter::new();
/// writer.add(&labels! { "__name__" => "cpu", "host" => "a" })?;
/// writer.add(&labels! { "__name__" => "cpu", "host" => "b" })?;
/// let index = IndexReader::open(writer.finish()?)?;
/// assert_eq!(index.select(Selector::parse(r#"{host!="a"}"#)?.matchers())?.to_vec(), [1]);
/// # Ok::<(), treering_index::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct IndexWriter {
    index: MemIndex,
    last: Option<Labels>,
}

/// A label pair as the format names it: number of the name, number of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rank {
    name: u32,
    value: u32,
}

impl IndexWriter {
    /// A writer without series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series and returns its ordinal: 0, 1, 2, ... Refuses a label set that is not above
    /// the one before it, and one above the hard maxima.
    pub fn add(&mut self, labels: &Labels) -> Result<u32> {
        if self.last.as_ref().is_some_and(|last| last >= labels) {
            return Err(Error::OutOfOrder {
                labels: short_text(labels, 256),
            });
        }
        let ordinal = self.index.append(labels)?;
        self.last = Some(labels.clone());
        Ok(ordinal)
    }

    /// Bytes on the heap that the writer holds.
    pub fn heap_bytes(&self) -> usize {
        self.index.heap_bytes()
    }

    /// The bytes of the index. Fails when a section would exceed 4 GiB.
    pub fn finish(self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.finish_into::<Error>(&mut |bytes| {
            out.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(out)
    }

    /// Hands the bytes of the index to `put`, a piece at a time: beside what it holds already, the
    /// writer needs little memory. Fails when `put` does, or when a section would exceed 4 GiB; what
    /// was handed out is then of no use.
    pub fn finish_into<E: From<Error>>(
        self,
        put: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let symbols = &self.index.symbols;
        let mut names: Vec<&Name> = symbols.names().map(|(_, name)| name).collect();
        names.sort_unstable_by(|a, b| a.text.cmp(&b.text));
        let mut out = Sections::new(put)?;
        self.put_series(&names, &mut out)?;
        out.put_varint(names.len() as u64);
        for name in &names {
            put_bytes(&mut out.directory, name.text.as_bytes());
            out.put_varint(name.values.len() as u64);
            out.put_varint(u64::from(name.series));
            self.put_transducer(name, &mut out)?;
            self.put_values(name, &mut out)?;
            self.put_postings(name, &mut out)?;
        }
        out.finish()
    }

    /// The sections of shapes, tails and series.
    fn put_series<E: From<Error>>(
        &self,
        names: &[&Name],
        out: &mut Sections<'_, E>,
    ) -> Result<(), E> {
        let mut ranks = vec![Rank { name: 0, value: 0 }; self.index.symbols.pair_bound()];
        for (name, number) in names.iter().zip(0..) {
            for (pair, value) in name.values.iter().zip(0..) {
                if let Some(rank) = ranks.get_mut(pair as usize) {
                    *rank = Rank {
                        name: number,
                        value,
                    };
                }
            }
        }
        let mut tails = Tails::new(&self.index, &ranks);
        let series = self.series(&ranks, &mut tails)?;
        let (tail_blocks, shapes) = tails.finish()?;
        out.put_varint(self.index.len() as u64);
        out.put_varint(u64::from(tails.count));
        out.put_varint(tails.shapes.len() as u64);
        out.put(&shapes)?;
        out.end()?;
        tail_blocks.put(out)?;
        series.put(out)
    }

    fn series(&self, ranks: &[Rank], tails: &mut Tails<'_>) -> Result<Blocks> {
        let mut blocks = Blocks::new(self.index.len());
        let (mut first_before, mut expected) = (None, 0i64);
        for id in 0..self.index.len() as u32 {
            let restart = blocks.next()?;
            let first = self.index.pairs(id).next();
            let tail = i64::from(tails.number(id)?);
            if restart {
                expected = 0;
            }
            let given = restart || first != first_before;
            put_u64(
                &mut blocks.bytes,
                zigzag(tail - expected) << 1 | u64::from(given),
            );
            if given {
                match first.and_then(|pair| ranks.get(pair as usize)) {
                    Some(rank) => {
                        put_u64(&mut blocks.bytes, u64::from(rank.name) + 1);
                        put_u64(&mut blocks.bytes, u64::from(rank.value));
                    }
                    None => put_u64(&mut blocks.bytes, 0),
                }
            }
            first_before = first;
            expected = tail + 1;
        }
        Ok(blocks)
    }

    fn put_transducer<E: From<Error>>(
        &self,
        name: &Name,
        out: &mut Sections<'_, E>,
    ) -> Result<(), E> {
        let mut stream = Stream { out, error: None };
        let pairs = name.values.iter().zip(0..);
        let values = pairs.map(|(pair, number)| (self.index.symbols.value(pair), number));
        let written = write_transducer(values, &mut stream);
        if let Some(error) = stream.error {
            return Err(error);
        }
        written.ok_or(Error::Full {
            what: "values of a label",
        })?;
        out.end()
    }

    /// The values in blocks, which are made as they are written: they are most of an index.
    fn put_values<E: From<Error>>(&self, name: &Name, out: &mut Sections<'_, E>) -> Result<(), E> {
        let mut blocks = Blocks::new(name.values.len());
        let mut end = 0;
        for pair in name.values.iter() {
            let value = self.index.symbols.value(pair);
            blocks.begin(end)?;
            end += varint_len(value.len() as u64) + value.len();
        }
        out.put(&blocks.places)?;
        let mut bytes = Vec::with_capacity(PIECE_BYTES);
        for pair in name.values.iter() {
            let value = self.index.symbols.value(pair);
            if bytes.len() + value.len() > PIECE_BYTES {
                out.put(&bytes)?;
                bytes.clear();
            }
            put_bytes(&mut bytes, value.as_bytes());
        }
        out.put(&bytes)?;
        out.end()
    }

    /// A place per value and one for the series that have the label, then the lists.
    fn put_postings<E: From<Error>>(
        &self,
        name: &Name,
        out: &mut Sections<'_, E>,
    ) -> Result<(), E> {
        let mut places = Vec::new();
        let mut bytes = Vec::new();
        let mut ids = Vec::new();
        for pair in name.values.iter() {
            ids.clear();
            ids.extend(self.index.lists.get(pair).into_iter().flatten());
            put_list(&ids, &mut places, &mut bytes)?;
        }
        if name.series as usize != self.index.len() {
            ids.clear();
            let lists = name
                .values
                .iter()
                .filter_map(|pair| self.index.lists.get(pair));
            lists.for_each(|list| ids.extend(list));
            ids.sort_unstable();
        } else {
            ids = (0..name.series).collect();
        }
        put_list(&ids, &mut places, &mut bytes)?;
        out.put(&places)?;
        out.put(&bytes)?;
        out.end()
    }
}

/// Writes the transducer of `values`, in order; nothing when it fails.
fn write_transducer<'v>(
    values: impl Iterator<Item = (&'v str, u64)>,
    out: &mut dyn Write,
) -> Option<()> {
    let mut builder = fst::MapBuilder::new(BufWriter::with_capacity(PIECE_BYTES, out)).ok()?;
    for (value, number) in values {
        builder.insert(value, number).ok()?;
    }
    builder.into_inner().ok()?.flush().ok()
}

/// Bytes of `value` as a varint.
fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_list(ids: &[u32], places: &mut Vec<u8>, bytes: &mut Vec<u8>) -> Result<()> {
    let place = match ids {
        [id] if *id < ONE_ID => *id | ONE_ID,
        _ => {
            let place = u32::try_from(bytes.len())
                .ok()
                .filter(|place| *place < ONE_ID);
            lists::encode(ids, bytes);
            place.ok_or(Error::Full {
                what: "postings of a label",
            })?
        }
    };
    places.extend_from_slice(&place.to_le_bytes());
    Ok(())
}

/// The distinct label sets without their first pair, in order of first use. Series of one thing
/// differ in the metric name only, so there are far fewer of them than series.
struct Tails<'a> {
    index: &'a MemIndex,
    ranks: &'a [Rank],
    /// By their pairs: the first series with the tail, and its number.
    table: HashTable<(u32, u32)>,
    count: u32,
    firsts: Vec<u32>,
    shapes: Vec<Vec<u32>>,
}

impl<'a> Tails<'a> {
    fn new(index: &'a MemIndex, ranks: &'a [Rank]) -> Self {
        let table = HashTable::new();
        Self {
            index,
            ranks,
            table,
            count: 0,
            firsts: Vec::new(),
            shapes: Vec::new(),
        }
    }

    /// The number of the tail of series `id`.
    fn number(&mut self, id: u32) -> Result<u32> {
        let index = self.index;
        let hash = |id: u32| index.symbols.hash(index.packed_tail(id));
        let same = |known: &(u32, u32)| index.packed_tail(known.0) == index.packed_tail(id);
        match self.table.entry(hash(id), same, |known| hash(known.0)) {
            Entry::Occupied(known) => Ok(known.get().1),
            Entry::Vacant(vacant) => {
                let number = self.count;
                self.count = number
                    .checked_add(1)
                    .ok_or(Error::Full { what: "label sets" })?;
                vacant.insert((id, number));
                self.firsts.push(id);
                Ok(number)
            }
        }
    }

    /// The blocks of tails and the section of shapes.
    fn finish(&mut self) -> Result<(Blocks, Vec<u8>)> {
        let mut blocks = Blocks::new(self.firsts.len());
        let mut known = std::collections::HashMap::new();
        let mut before: Vec<Rank> = Vec::new();
        let mut shape_before = None;
        for id in std::mem::take(&mut self.firsts) {
            if blocks.next()? {
                before.clear();
                shape_before = None;
            }
            let pairs = self.index.pairs(id).skip(1);
            let tail: Vec<Rank> = pairs
                .filter_map(|pair| self.ranks.get(pair as usize))
                .copied()
                .collect();
            let names: Vec<u32> = tail.iter().map(|rank| rank.name).collect();
            let shape = *known.entry(names).or_insert_with_key(|names| {
                self.shapes.push(names.clone());
                self.shapes.len() - 1
            });
            let shared = tail.iter().zip(&before).take_while(|(a, b)| a == b).count();
            let new = shape_before != Some(shape);
            put_u64(&mut blocks.bytes, (shared as u64) << 1 | u64::from(new));
            if new {
                put_u64(&mut blocks.bytes, shape as u64);
            }
            for (at, rank) in tail.iter().enumerate().skip(shared) {
                match before.get(at).filter(|_| at == shared && !new) {
                    // Neighbours differ little where they first differ.
                    Some(old) => {
                        let delta = i64::from(rank.value) - i64::from(old.value);
                        put_i64(&mut blocks.bytes, delta);
                    }
                    None => put_u64(&mut blocks.bytes, u64::from(rank.value)),
                }
            }
            before = tail;
            shape_before = Some(shape);
        }
        let mut shapes = Vec::new();
        for names in &self.shapes {
            put_u64(&mut shapes, names.len() as u64);
            let mut next = 0;
            for name in names {
                put_u64(&mut shapes, u64::from(name - next));
                next = name + 1;
            }
        }
        Ok((blocks, shapes))
    }
}

/// Entries in blocks of [`RESTART`], after the places of the blocks.
struct Blocks {
    places: Vec<u8>,
    bytes: Vec<u8>,
    count: usize,
}

impl Blocks {
    fn new(entries: usize) -> Self {
        let places = Vec::with_capacity(entries.div_ceil(RESTART) * 4);
        Self {
            places,
            bytes: Vec::new(),
            count: 0,
        }
    }

    /// Begins an entry; says whether it is the first of a block.
    fn next(&mut self) -> Result<bool> {
        self.begin(self.bytes.len())
    }

    /// As [`Blocks::next`], where the entries before have `end` bytes.
    fn begin(&mut self, end: usize) -> Result<bool> {
        let restart = self.count.is_multiple_of(RESTART);
        if restart {
            let place = u32::try_from(end);
            let place = place.map_err(|_| Error::Full {
                what: "bytes of a section",
            })?;
            self.places.extend_from_slice(&place.to_le_bytes());
        }
        self.count += 1;
        Ok(restart)
    }

    /// Writes them as a section.
    fn put<E: From<Error>>(self, out: &mut Sections<'_, E>) -> Result<(), E> {
        out.put(&self.places)?;
        out.put(&self.bytes)?;
        out.end()
    }
}

/// Where the bytes go, and the directory that tells where sections end.
struct Sections<'p, E> {
    put: &'p mut dyn FnMut(&[u8]) -> Result<(), E>,
    /// Bytes handed out.
    offset: u64,
    directory: Vec<u8>,
    count: u32,
    /// Length and checksum of the section at hand so far.
    len: usize,
    crc: u32,
}

impl<'p, E: From<Error>> Sections<'p, E> {
    fn new(put: &'p mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<Self, E> {
        let header = header();
        put(&header)?;
        Ok(Self {
            put,
            offset: header.len() as u64,
            directory: Vec::new(),
            count: 0,
            len: 0,
            crc: 0,
        })
    }

    fn put_varint(&mut self, value: u64) {
        put_u64(&mut self.directory, value);
    }

    /// Writes a piece of the section at hand.
    fn put(&mut self, piece: &[u8]) -> Result<(), E> {
        self.len += piece.len();
        self.crc = crc32(self.crc, piece);
        self.offset += piece.len() as u64;
        (self.put)(piece)
    }

    /// Ends the section at hand.
    fn end(&mut self) -> Result<(), E> {
        u32::try_from(self.len).map_err(|_| Error::Full {
            what: "bytes of a section",
        })?;
        self.put_varint(self.len as u64);
        self.directory.extend_from_slice(&self.crc.to_le_bytes());
        self.count += 1;
        (self.len, self.crc) = (0, self.count);
        Ok(())
    }

    fn finish(self) -> Result<(), E> {
        let full = |_| Error::Full {
            what: "bytes of the directory",
        };
        let len = u32::try_from(self.directory.len()).map_err(full)?;
        let mut footer = self.offset.to_le_bytes().to_vec();
        footer.extend_from_slice(&len.to_le_bytes());
        footer.extend_from_slice(&crc32(DIRECTORY_SEED, &self.directory).to_le_bytes());
        let crc = crc32_parts(FOOTER_SEED, &[&header(), &footer]);
        footer.extend_from_slice(&crc.to_le_bytes());
        footer.extend_from_slice(&MAGIC);
        (self.put)(&self.directory)?;
        (self.put)(&footer)
    }
}

fn header() -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&[0; 2]);
    header
}

/// Takes what goes to a section, and keeps the error that ends it.
struct Stream<'s, 'p, E> {
    out: &'s mut Sections<'p, E>,
    error: Option<E>,
}

impl<E: From<Error>> Write for Stream<'_, '_, E> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.out.put(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.error = Some(error);
                Err(io::ErrorKind::Other.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MemIndex {
    /// The packed numbers of the pairs of series `id` but the first.
    fn packed_tail(&self, id: u32) -> &[u8] {
        let (count, record) = self.packed_pairs(id);
        let mut rest = record;
        if count > 0 {
            let _ = fast::varint(&mut rest);
        }
        rest
    }
}
