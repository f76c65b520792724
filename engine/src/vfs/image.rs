//! What a disk may hold after a power cut: the durable part, and a fate for each unsynced call.
//!
//! In: the calls that a program made, in order. Out: [`Images`], stores that a restart could find.
//! Invariant: what a completed sync covers is in every image; every other call may be lost, kept or
//! torn by itself. The rules are those of docs/guarantees.md, "Assumptions".
//!
//! Writes that are kept are applied in the order in which they were made. A disk that reorders two
//! overlapping writes shows nothing more: that image is also one with a part of the later write.
//! Changes of names that touch the same name depend on each other, so the later one brings the
//! earlier one along; all others are lost or kept one by one, a rename always as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;

use super::MemVfs;
use super::mem::{NameKey, NodeId};
use super::memfile::overwrite;

/// One call that changes a store or syncs a part of it.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// Names come, go, or stand for something else: all of these changes or none.
    Names(Vec<(NameKey, Option<NodeId>)>),
    Data(u64, Change),
    Sync(u64),
    SyncFailed(u64),
    SyncDir(u64),
    SyncDirFailed(u64),
}

/// A change of one file's bytes.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { offset: usize, data: Bytes },
    SetLen(usize),
}

/// A disk in the middle of its work: what is durable, and what it may do before the power goes.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    names: BTreeMap<NameKey, NodeId>,
    files: BTreeMap<u64, Bytes>,
    pending: Vec<Pending>,
}

#[derive(Debug, Clone)]
struct Pending {
    /// The number of the call, counted from 1.
    call: u64,
    op: PendingOp,
    /// Durable, and waiting only for the place of an earlier change that is not.
    sure: bool,
    /// A sync that covered it failed: no later one makes it durable.
    doomed: bool,
}

#[derive(Debug, Clone)]
enum PendingOp {
    Names {
        changes: Vec<(NameKey, Option<NodeId>)>,
        unsynced: BTreeSet<u64>,
    },
    Data {
        file: u64,
        change: Change,
    },
}

impl Disk {
    /// A disk on which all of this is durable.
    pub(super) fn new(names: BTreeMap<NameKey, NodeId>, files: BTreeMap<u64, Bytes>) -> Disk {
        Disk {
            names,
            files,
            pending: Vec::new(),
        }
    }

    /// The disk after the next call, the one with this number.
    pub(super) fn apply(&mut self, call: u64, op: &Op) {
        let pending = |op| Pending {
            call,
            op,
            sure: false,
            doomed: false,
        };
        match op {
            Op::Names(changes) => {
                let unsynced = changes.iter().map(|((dir, _), _)| *dir).collect();
                let op = PendingOp::Names {
                    changes: changes.clone(),
                    unsynced,
                };
                self.pending.push(pending(op));
            }
            Op::Data(file, change) => {
                let op = PendingOp::Data {
                    file: *file,
                    change: change.clone(),
                };
                self.pending.push(pending(op));
            }
            Op::Sync(file) => self.sync(*file),
            Op::SyncDir(dir) => self.sync_dir(*dir),
            Op::SyncFailed(file) => {
                for pending in self.pending.iter_mut().filter(|p| p.is_data_of(*file)) {
                    pending.doomed |= !pending.sure;
                }
            }
            Op::SyncDirFailed(dir) => {
                for pending in &mut self.pending {
                    if let PendingOp::Names { unsynced, .. } = &pending.op {
                        pending.doomed |= unsynced.contains(dir);
                    }
                }
            }
        }
    }

    /// How many calls may still be lost.
    pub(super) fn unsynced(&self) -> usize {
        self.pending.iter().filter(|pending| !pending.sure).count()
    }

    /// What a restart finds when the calls end as the plan says.
    pub(super) fn image(&self, plan: &mut Plan) -> MemVfs {
        let mut names = self.names.clone();
        let mut lost: BTreeSet<&NameKey> = BTreeSet::new();
        for (pending, fate) in self.pending.iter().zip(&plan.fates) {
            let PendingOp::Names { changes, .. } = &pending.op else {
                continue;
            };
            let blocked = changes.iter().any(|(key, _)| lost.contains(key));
            if *fate == Fate::Kept && !blocked {
                change_names(&mut names, changes);
            } else {
                lost.extend(changes.iter().map(|(key, _)| key));
            }
        }
        let Plan { fates, garbage } = plan;
        MemVfs::assemble(&names, |id| {
            let base = self.files.get(&id).cloned().unwrap_or_default();
            let mut bytes = None;
            for (pending, fate) in self.pending.iter().zip(fates.iter()) {
                let PendingOp::Data { file, change } = &pending.op else {
                    continue;
                };
                if *file == id && *fate != Fate::Lost {
                    change.apply(bytes.get_or_insert_with(|| base.to_vec()), *fate, garbage);
                }
            }
            bytes.map_or(base, Bytes::from)
        })
    }

    /// One line for each call that may be lost, with its fate in the plan.
    pub(super) fn describe(&self, plan: &Plan) -> String {
        let mut text = String::new();
        for (pending, fate) in self
            .pending
            .iter()
            .zip(&plan.fates)
            .filter(|(p, _)| !p.sure)
        {
            let what = match &pending.op {
                PendingOp::Names { changes, .. } => format!("names {changes:?}"),
                PendingOp::Data {
                    file,
                    change: Change::SetLen(len),
                } => {
                    format!("set_len of file {file} to {len}")
                }
                PendingOp::Data {
                    file,
                    change: Change::Write { offset, data },
                } => {
                    format!("write of file {file}, {} bytes at {offset}", data.len())
                }
            };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "call {}: {what}: {fate:?}", pending.call);
        }
        text
    }

    fn sync(&mut self, file: u64) {
        let mut in_order = true;
        let mut bytes = None;
        self.pending.retain_mut(|pending| {
            if !pending.is_data_of(file) {
                return true;
            }
            pending.sure |= !pending.doomed;
            in_order &= pending.sure;
            if in_order && let PendingOp::Data { change, .. } = &pending.op {
                let base = || Vec::from(self.files.remove(&file).unwrap_or_default());
                change.apply(bytes.get_or_insert_with(base), Fate::Kept, &mut Random(0));
            }
            !in_order
        });
        if let Some(bytes) = bytes {
            self.files.insert(file, Bytes::from(bytes));
        }
    }

    fn sync_dir(&mut self, dir: u64) {
        // Backwards: what is durable makes all earlier changes of the same names durable.
        let mut forced: BTreeSet<NameKey> = BTreeSet::new();
        for pending in self.pending.iter_mut().rev() {
            let PendingOp::Names { changes, unsynced } = &mut pending.op else {
                continue;
            };
            if !pending.doomed {
                unsynced.remove(&dir);
            }
            if unsynced.is_empty() || changes.iter().any(|(key, _)| forced.contains(key)) {
                pending.sure = true;
                forced.extend(changes.iter().map(|(key, _)| key.clone()));
            }
        }
        self.pending.retain(|pending| match &pending.op {
            PendingOp::Names { changes, .. } if pending.sure => {
                change_names(&mut self.names, changes);
                false
            }
            _ => true,
        });
        self.forget_removed();
    }

    /// Drops the bytes of files that no image can name any more.
    fn forget_removed(&mut self) {
        let unsynced = self.pending.iter().filter_map(|pending| match &pending.op {
            PendingOp::Names { changes, .. } => Some(changes),
            PendingOp::Data { .. } => None,
        });
        let nodes = unsynced.flatten().filter_map(|(_, node)| *node);
        let named: BTreeSet<u64> = nodes
            .chain(self.names.values().copied())
            .filter_map(|node| match node {
                NodeId::File(file) => Some(file),
                NodeId::Dir(_) => None,
            })
            .collect();
        self.files.retain(|file, _| named.contains(file));
        self.pending.retain(|pending| match &pending.op {
            PendingOp::Data { file, .. } => named.contains(file),
            PendingOp::Names { .. } => true,
        });
    }
}

impl Pending {
    fn is_data_of(&self, wanted: u64) -> bool {
        matches!(self.op, PendingOp::Data { file, .. } if file == wanted)
    }
}

fn change_names(names: &mut BTreeMap<NameKey, NodeId>, changes: &[(NameKey, Option<NodeId>)]) {
    for (key, node) in changes {
        match node {
            Some(node) => names.insert(key.clone(), *node),
            None => names.remove(key),
        };
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, fate: Fate, garbage: &mut Random) {
        match (self, fate) {
            (_, Fate::Lost) => {}
            (Change::SetLen(len), fate) => {
                let old = bytes.len();
                bytes.resize(*len, 0);
                if let (
                    Fate::Torn {
                        rest: Fill::Garbage,
                        ..
                    },
                    Some(grown),
                ) = (fate, bytes.get_mut(old..))
                {
                    garbage.fill(grown);
                }
            }
            (Change::Write { offset, data }, Fate::Kept) => overwrite(bytes, *offset, data),
            (Change::Write { offset, data }, Fate::Torn { from, to, rest }) => {
                fill(bytes, *offset, data.len(), rest, garbage);
                if let Some(kept) = data.get(from..to).filter(|kept| !kept.is_empty()) {
                    overwrite(bytes, offset + from, kept);
                }
            }
            (Change::Write { offset, data }, Fate::Sectors { mask, rest }) => {
                fill(bytes, *offset, data.len(), rest, garbage);
                for (index, (at, sector)) in sectors(*offset, data).enumerate() {
                    if mask >> (index % 64) & 1 == 1 {
                        overwrite(bytes, at, sector);
                    }
                }
            }
        }
    }
}

/// What is in the written range where the write itself is not.
fn fill(bytes: &mut Vec<u8>, offset: usize, len: usize, rest: Fill, garbage: &mut Random) {
    let mut content = vec![0; len];
    match rest {
        Fill::Old => return,
        Fill::Zero => {}
        Fill::Garbage => garbage.fill(&mut content),
        Fill::Stale => {
            let old: Vec<u8> = bytes.iter().copied().cycle().take(len).collect();
            overwrite(&mut content, 0, &old);
        }
    }
    overwrite(bytes, offset, &content);
}

/// The parts of a write that lie in different sectors of the file, with their offsets.
fn sectors(offset: usize, data: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let head = (SECTOR - offset % SECTOR).min(data.len());
    let (first, others) = data.split_at(head);
    let others = others.chunks(SECTOR).enumerate();
    let others = others.map(move |(index, sector)| (offset + head + index * SECTOR, sector));
    std::iter::once((offset, first)).chain(others)
}

const SECTOR: usize = 512;
const PAGE: usize = 4096;

/// How each pending call ends, and where garbage comes from.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    fates: Vec<Fate>,
    garbage: Random,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lost,
    Kept,
    /// Of a write, the bytes `from..to` are there.
    Torn {
        from: usize,
        to: usize,
        rest: Fill,
    },
    /// Of a write, the sectors are there whose bit is set (the 64 bits repeat).
    Sectors {
        mask: u64,
        rest: Fill,
    },
}

/// What stands in the range of a write where its own bytes are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    /// What was there before; the file does not grow.
    Old,
    Zero,
    Garbage,
    /// The first bytes of the same file: a frame that is valid at another place.
    Stale,
}

impl Plan {
    /// Plan number `index`: 0 loses all, 1 keeps all; then, when at most [`SUBSETS_MAX`] calls are
    /// unsynced, every even one is the next subset until all were there; the others are random.
    pub(super) fn numbered(disk: &Disk, seed: u64, call: u64, index: u64) -> Plan {
        let mut random = Random(seed ^ call.rotate_left(40) ^ index.rotate_left(20));
        // Near seeds give unrelated numbers only after a first step.
        random = Random(random.next());
        let choices = disk.unsynced();
        let subsets = if choices <= SUBSETS_MAX {
            1_u64 << choices
        } else {
            0
        };
        let picks = match index {
            0 => vec![Fate::Lost; choices],
            1 => vec![Fate::Kept; choices],
            even if even % 2 == 0 && even / 2 < subsets => {
                // Odd factors permute the numbers below a power of two: a prefix is a fair sample.
                let subset = (even / 2).wrapping_mul(0x9e37_79b9) % subsets;
                (0..choices)
                    .map(|bit| keep(subset >> bit & 1 == 1))
                    .collect()
            }
            _ => random_picks(disk, choices, &mut random),
        };
        let mut picks = picks.into_iter();
        let fates = disk.pending.iter().map(|pending| {
            if pending.sure {
                Fate::Kept
            } else {
                picks.next().unwrap_or(Fate::Lost)
            }
        });
        Plan {
            fates: fates.collect(),
            garbage: random,
        }
    }
}

/// With at most this many unsynced calls every subset of them is an image of its own.
pub(super) const SUBSETS_MAX: usize = 8;

fn keep(kept: bool) -> Fate {
    if kept { Fate::Kept } else { Fate::Lost }
}

/// Which calls survive, by one of the shapes in which power cuts find missing syncs, then how.
fn random_picks(disk: &Disk, choices: usize, random: &mut Random) -> Vec<Fate> {
    let shape = random.below(4);
    let special = random.below(choices.max(1));
    let density = random.below(9) + 1;
    let unsure = disk.pending.iter().filter(|pending| !pending.sure);
    unsure
        .enumerate()
        .map(|(index, pending)| {
            let (kept, torn) = match shape {
                // The disk worked in order and stopped in the middle of one call.
                0 => (index <= special, index == special),
                // It did everything but one.
                1 => (index != special, index == special),
                // It did nothing but one.
                2 => (index == special, index == special && random.below(2) == 0),
                _ => (random.below(10) < density, random.below(3) == 0),
            };
            match &pending.op {
                PendingOp::Data { change, .. } if torn => torn_fate(change, kept, random),
                _ => keep(kept),
            }
        })
        .collect()
}

fn torn_fate(change: &Change, kept: bool, random: &mut Random) -> Fate {
    let fills = [Fill::Old, Fill::Zero, Fill::Garbage, Fill::Stale];
    let rest = fills[random.below(fills.len())];
    let Change::Write { offset, data } = change else {
        return if kept {
            Fate::Torn {
                from: 0,
                to: 0,
                rest,
            }
        } else {
            Fate::Lost
        };
    };
    let len = data.len();
    if !kept {
        return Fate::Torn {
            from: 0,
            to: 0,
            rest,
        };
    }
    let edge = |size: usize, random: &mut Random| {
        size - offset % size + size * random.below(len / size + 1)
    };
    let cuts = [
        0,
        1,
        SECTOR,
        PAGE,
        len.saturating_sub(1),
        edge(SECTOR, random),
        edge(PAGE, random),
    ];
    let cut = match cuts.get(random.below(cuts.len() + 1)) {
        Some(&cut) => cut.min(len),
        None => random.below(len + 1),
    };
    match random.below(6) {
        0..=2 => Fate::Torn {
            from: 0,
            to: cut,
            rest,
        },
        3 => Fate::Torn {
            from: cut,
            to: len,
            rest,
        },
        4 => Fate::Sectors {
            mask: random.next(),
            rest,
        },
        _ => Fate::Torn {
            from: 0,
            to: len - len.min(1),
            rest,
        },
    }
}

/// The images of one moment, in the order of their numbers; made by `CrashVfs::images`.
#[derive(Debug, Clone)]
pub struct Images {
    disk: Arc<Disk>,
    seed: u64,
    call: u64,
    next: u64,
    end: u64,
}

impl Images {
    /// The first `count` images after this call; one image when nothing can be lost.
    pub(super) fn new(disk: Arc<Disk>, seed: u64, call: u64, count: u64) -> Images {
        let end = if disk.unsynced() == 0 {
            count.min(1)
        } else {
            count
        };
        Images {
            disk,
            seed,
            call,
            next: 0,
            end,
        }
    }
}

impl Iterator for Images {
    type Item = MemVfs;

    fn next(&mut self) -> Option<MemVfs> {
        if self.next >= self.end {
            return None;
        }
        let mut plan = Plan::numbered(&self.disk, self.seed, self.call, self.next);
        self.next += 1;
        Some(self.disk.image(&mut plan))
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`; the bias of the remainder does not matter for tests.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes()[..part.len()]);
        }
    }
}
