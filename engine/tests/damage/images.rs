//! The ways in which one file of a database can be damaged, by number.
//!
//! Input: a whole database. Output: classes of damage, each with a count, and the damage of each
//! number below it; the bytes that a damaged file then has.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use crate::whole::Whole;

/// Bytes of a block's header and footer, of a WAL file's header and a frame's: docs/format.
const BLOCK_HEADER: usize = 36;
const BLOCK_FOOTER: usize = 176;
const WAL_HEADER: usize = 64;
const FRAME: usize = 32;
/// Bytes that disks write at once.
const SECTORS: [usize; 2] = [512, 4096];

/// A stretch of a file: its number in [`Whole::files`], offset and length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) file: usize,
    offset: usize,
    len: usize,
}

/// What happens to one file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Damage {
    Flip {
        file: usize,
        bit: usize,
    },
    Cut {
        file: usize,
        len: usize,
    },
    /// The write never came: there are zeros.
    Zeroed(Place),
    /// What belongs elsewhere was written here.
    Misdirected {
        to: Place,
        from: Place,
    },
    /// Two places of a file exchanged.
    Swapped {
        one: Place,
        other: Place,
    },
    /// The last write never came: there is what was there after an earlier step, if there was any.
    Lost {
        place: Place,
        step: usize,
    },
    /// The whole file is as it was after an earlier step.
    Stale {
        file: usize,
        step: usize,
    },
    /// Another file of the database has its name.
    Renamed {
        file: usize,
        other: usize,
    },
}

impl Damage {
    /// The file that is hit.
    pub(crate) fn file(self) -> usize {
        match self {
            Self::Flip { file, .. }
            | Self::Cut { file, .. }
            | Self::Stale { file, .. }
            | Self::Renamed { file, .. } => file,
            Self::Zeroed(place) | Self::Lost { place, .. } => place.file,
            Self::Misdirected { to, .. } => to.file,
            Self::Swapped { one, .. } => one.file,
        }
    }

    /// The bytes of that file then; `None` when nothing is changed.
    pub(crate) fn apply(self, whole: &Whole) -> Option<Vec<u8>> {
        let (path, right) = &whole.files[self.file()];
        let earlier = |step: usize| bytes_of(&whole.earlier[step], path);
        let mut bytes = right.to_vec();
        match self {
            Self::Flip { bit, .. } => bytes[bit / 8] ^= 1 << (bit % 8),
            Self::Cut { len, .. } => bytes.truncate(len),
            Self::Zeroed(place) => place.of(&mut bytes).fill(0),
            Self::Misdirected { to, from } => {
                let source = &whole.files[from.file].1[from.offset..from.offset + from.len];
                let to = to.of(&mut bytes);
                let len = to.len().min(source.len());
                to[..len].copy_from_slice(&source[..len]);
            }
            Self::Swapped { one, other } => {
                let here = one.of(&mut bytes).to_vec();
                let there = other.of(&mut bytes).to_vec();
                let len = here.len().min(there.len());
                one.of(&mut bytes)[..len].copy_from_slice(&there[..len]);
                other.of(&mut bytes)[..len].copy_from_slice(&here[..len]);
            }
            Self::Lost { place, step } => {
                let before = earlier(step)?;
                let to = place.of(&mut bytes);
                for (at, byte) in to.iter_mut().enumerate() {
                    *byte = before.get(place.offset + at).copied().unwrap_or(0);
                }
            }
            Self::Stale { step, .. } => bytes = earlier(step)?.to_vec(),
            Self::Renamed { other, .. } => bytes = whole.files[other].1.to_vec(),
        }
        (bytes != *right).then_some(bytes)
    }
}

impl Place {
    fn of(self, bytes: &mut [u8]) -> &mut [u8] {
        &mut bytes[self.offset..self.offset + self.len]
    }
}

fn bytes_of<'a>(files: &'a [(std::path::PathBuf, Bytes)], path: &Path) -> Option<&'a Bytes> {
    let found = files.iter().find(|(other, _)| other == path);
    found.map(|(_, bytes)| bytes)
}

/// All damage of one kind.
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) count: u64,
    nth: Box<dyn Fn(u64) -> Damage + Send + Sync>,
}

impl Class {
    fn new(
        name: &'static str,
        count: usize,
        nth: impl Fn(usize) -> Damage + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            count: count as u64,
            nth: Box::new(move |number| nth(number as usize)),
        }
    }

    pub(crate) fn get(&self, number: u64) -> Damage {
        (self.nth)(number)
    }
}

/// Every class of damage to the files of these numbers.
pub(crate) fn classes(whole: &Whole, files: &[usize]) -> Vec<Class> {
    let mut classes = vec![edges(whole, files), cuts_at_edges(whole, files)];
    let mut starts = BTreeMap::new();
    let mut bytes = 0;
    for &file in files {
        starts.insert(bytes, file);
        bytes += whole.files[file].1.len();
    }
    // The file and the offset of the byte of this number among all of them.
    let locate = move |number: usize| {
        let found = starts.range(..=number).next_back();
        found.map_or((0, 0), |(start, &file)| (file, number - start))
    };
    let located = locate.clone();
    classes.push(Class::new("flipped bits", bytes * 8, move |number| {
        let (file, offset) = located(number / 8);
        let bit = offset * 8 + number % 8;
        Damage::Flip { file, bit }
    }));
    classes.push(Class::new("cuts", bytes, move |number| {
        let (file, len) = locate(number);
        Damage::Cut { file, len }
    }));
    for len in SECTORS {
        classes.extend(sectors(whole, files, len));
    }
    let (all, steps) = (files.to_vec(), whole.earlier.len());
    classes.push(Class::new("stale files", all.len() * steps, {
        let all = all.clone();
        move |number| Damage::Stale {
            file: all[number / steps],
            step: number % steps,
        }
    }));
    let others = whole.files.len();
    classes.push(Class::new(
        "renamed files",
        all.len() * others,
        move |number| Damage::Renamed {
            file: all[number / others],
            other: number % others,
        },
    ));
    classes
}

/// Bits of headers, footers, heads of frames, and of the whole manifest.
fn edges(whole: &Whole, files: &[usize]) -> Class {
    let mut bytes = Vec::new();
    for &file in files {
        let (path, content) = &whole.files[file];
        let len = content.len();
        match kind(path) {
            Kind::Block => {
                let footer = len - BLOCK_FOOTER..len;
                bytes.extend((0..BLOCK_HEADER).chain(footer).map(|at| (file, at)));
            }
            Kind::Manifest => bytes.extend((0..len).map(|at| (file, at))),
            Kind::Wal => {
                bytes.extend((0..WAL_HEADER).map(|at| (file, at)));
                let heads = frames(content).into_iter().flat_map(|at| at..at + FRAME);
                bytes.extend(heads.map(|at| (file, at)));
            }
        }
    }
    Class::new("bits of structure", bytes.len() * 8, move |number| {
        let (file, offset) = bytes[number / 8];
        let bit = offset * 8 + number % 8;
        Damage::Flip { file, bit }
    })
}

/// Lengths around the ends of headers, frames and footers.
fn cuts_at_edges(whole: &Whole, files: &[usize]) -> Class {
    let mut cuts = Vec::new();
    for &file in files {
        let (path, content) = &whole.files[file];
        let len = content.len();
        let edges = match kind(path) {
            Kind::Block => vec![0, BLOCK_HEADER, 32 << 10, len - BLOCK_FOOTER, len],
            Kind::Manifest => vec![0, 32, 48, len],
            Kind::Wal => [vec![0, WAL_HEADER, len], frames(content)].concat(),
        };
        let near = edges
            .into_iter()
            .flat_map(|edge| edge.saturating_sub(9)..edge + 9);
        cuts.extend(near.filter(|&at| at < len).map(|len| (file, len)));
    }
    Class::new("cuts at edges", cuts.len(), move |number| {
        let (file, len) = cuts[number];
        Damage::Cut { file, len }
    })
}

/// Where the frames of a WAL file begin, and where the last one ends.
pub(crate) fn frames(content: &[u8]) -> Vec<usize> {
    let (mut at, mut found) = (WAL_HEADER, Vec::new());
    while let Some(len) = content.get(at + 4..at + 8) {
        found.push(at);
        let len = u32::from_le_bytes(len.try_into().unwrap());
        at += FRAME + (len as usize).next_multiple_of(8);
    }
    found
}

fn sectors(whole: &Whole, files: &[usize], len: usize) -> [Class; 4] {
    let names = match len {
        512 => ["512 bytes zeroed", "misdirected", "swapped", "lost"],
        _ => ["4 KiB zeroed", "misdirected", "swapped", "lost"],
    };
    let places = |file: usize| {
        let bytes = whole.files[file].1.len();
        (0..bytes).step_by(len).map(move |offset| Place {
            file,
            offset,
            len: len.min(bytes - offset),
        })
    };
    let here: Vec<Place> = files.iter().flat_map(|&file| places(file)).collect();
    let all: Vec<Place> = (0..whole.files.len()).flat_map(places).collect();
    let pairs: Vec<(Place, Place)> = here
        .iter()
        .flat_map(|&one| places(one.file).map(move |other| (one, other)))
        .filter(|(one, other)| one.offset < other.offset)
        .collect();
    let steps = whole.earlier.len();
    let (count, zeroed, lost) = (here.len(), here.clone(), here.clone());
    [
        Class::new(names[0], count, move |number| {
            Damage::Zeroed(zeroed[number])
        }),
        Class::new(names[1], count * all.len(), move |number| {
            Damage::Misdirected {
                to: here[number / all.len()],
                from: all[number % all.len()],
            }
        }),
        Class::new(names[2], pairs.len(), move |number| {
            let (one, other) = pairs[number];
            Damage::Swapped { one, other }
        }),
        Class::new(names[3], count * steps, move |number| Damage::Lost {
            place: lost[number / steps],
            step: number % steps,
        }),
    ]
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Block,
    Wal,
    Manifest,
}

pub(crate) fn kind(path: &Path) -> Kind {
    match path.extension().and_then(|it| it.to_str()) {
        Some("block") => Kind::Block,
        Some("wal") => Kind::Wal,
        _ => Kind::Manifest,
    }
}
