//! The WAL of a damaged database: every intact frame, in order.
//!
//! Input: its files. Output: the changes behind those in blocks, made again in the new database.
//! Invariant: a sample goes to a series only if an intact frame of the same generation says which
//! series its id is; where it cannot be told to which generation a file belongs, it is one of its
//! own.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use treering_index::Labels;

use super::catalogue::numbered;
use super::{Loss, RepairReport};
use crate::batch::Batch;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::manifest::format::State;
use crate::namespace::options::NamespaceOptions;
use crate::vfs::Vfs;
use crate::wal::change::{Change, NamespaceChange};
use crate::wal::format::{
    FRAME_HEADER_BYTES, FileHeader, FrameHeader, FrameKind, HEADER_BYTES, HeaderError, VERSION,
};
use crate::wal::payload::BatchPayload;
use crate::wal::stretches::{Stretch, Stretches};
use crate::wal::{self, MAX_FILE_BYTES};

/// The WAL files, once they were looked through.
#[derive(Debug)]
pub(super) struct Log {
    vfs: Arc<dyn Vfs>,
    database: u64,
    /// In order of number.
    files: Vec<LogFile>,
    /// Sequences of intact frames without a gap, ascending.
    held: Vec<RangeInclusive<u64>>,
}

#[derive(Debug)]
struct LogFile {
    number: u64,
    path: PathBuf,
    header: Option<FileHeader>,
    /// Scope of the ids in its frames.
    scope: Scope,
}

/// A generation, or a file by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scope {
    Generation(u64),
    File(u64),
}

/// Bytes that are no frame.
#[derive(Debug)]
struct Bad {
    path: PathBuf,
    from: usize,
    to: usize,
    /// Position in the WAL, where that is known.
    position: Option<u64>,
}

impl Log {
    /// Looks through the files: which frames are intact, and which bytes were some once.
    pub(super) fn scan(
        vfs: &Arc<dyn Vfs>,
        source: &Path,
        database: u64,
        report: &mut RepairReport,
    ) -> Result<Self> {
        let mut log = Self {
            vfs: Arc::clone(vfs),
            database,
            files: Vec::new(),
            held: Vec::new(),
        };
        let mut bad = Vec::new();
        let mut synced = 0;
        for (number, path) in numbered(&**vfs, &source.join(wal::DIR), wal::parse_name) {
            match vfs.read(&path, MAX_FILE_BYTES) {
                Ok(bytes) => {
                    let found = log.scan_file(number, path, &bytes, report)?;
                    synced = synced.max(found.0);
                    bad.extend(found.1);
                }
                Err(error) => report.lose(Loss::error(&path, Error::io("read", &path, error))),
            }
        }
        log.scope_files();
        for bad in bad {
            // Above what any frame says was durable lies what nobody was promised.
            if bad.position.is_some_and(|position| position >= synced) {
                report.wal_tail_bytes += (bad.to - bad.from) as u64;
                continue;
            }
            let bytes = bad.to - bad.from;
            let what = format!("{bytes} bytes of the WAL hold no frame whose checksum is right");
            report.lose(Loss::of(&bad.path, bad.from as u64, what));
        }
        Ok(log)
    }

    /// Sequences of intact frames without a gap, ascending.
    pub(super) fn held(&self) -> &[RangeInclusive<u64>] {
        &self.held
    }

    /// Notes one file; the position up to which its frames say the WAL was durable, and what is bad.
    fn scan_file(
        &mut self,
        number: u64,
        path: PathBuf,
        bytes: &[u8],
        report: &mut RepairReport,
    ) -> Result<(u64, Vec<Bad>)> {
        let header = match FileHeader::decode(bytes) {
            Ok(header) if header.database == self.database && header.number == number => {
                Some(header)
            }
            Ok(_) => {
                report.lose(Loss::of(&path, 0, "the WAL file belongs elsewhere"));
                return Ok((0, Vec::new()));
            }
            Err(HeaderError::Version(found)) => {
                return Err(Error::Version {
                    file: path,
                    found,
                    supported: VERSION,
                });
            }
            Err(HeaderError::Damaged) => None,
        };
        let (mut synced, mut bad, mut frames) = (0, Vec::new(), 0u64);
        for part in parts(self.database, number, bytes) {
            match part {
                Stretch::Frame(_, frame, _) => {
                    synced = synced.max(frame.synced);
                    frames += 1;
                    match self.held.last_mut() {
                        Some(held) if *held.end() + 1 == frame.sequence => {
                            *held = *held.start()..=frame.sequence;
                        }
                        _ => self.held.push(frame.sequence..=frame.sequence),
                    }
                }
                Stretch::Bad(from, to) => bad.push(Bad {
                    path: path.clone(),
                    from,
                    to,
                    position: header.map(|header| header.position + from as u64),
                }),
            }
        }
        if header.is_none() && frames > 0 {
            let what = "the header of the WAL file does not match its checksum";
            report.lose(Loss::of(&path, 0, what));
        }
        self.files.push(LogFile {
            number,
            path,
            header,
            scope: Scope::File(number),
        });
        Ok((synced, bad))
    }

    /// Tells the generation of each file: from its header, else from neighbours of one generation.
    fn scope_files(&mut self) {
        let generation = |file: &LogFile| file.header.map(|header| header.generation);
        let known: Vec<_> = self.files.iter().map(generation).collect();
        for (at, file) in self.files.iter_mut().enumerate() {
            let before = known[..at].iter().rev().find_map(|known| *known);
            let after = known[at..].iter().find_map(|known| *known);
            let between = before.filter(|before| Some(*before) == after);
            if let Some(generation) = known[at].or(between) {
                file.scope = Scope::Generation(generation);
            }
        }
    }

    /// Makes the changes behind those that `state` has in blocks again in `db`.
    pub(super) fn apply(&self, db: &Db, state: &State, report: &mut RepairReport) -> Result<()> {
        let mut making = Making::new(db, state);
        for file in &self.files {
            // What cannot be read now was lost before.
            let Ok(bytes) = self.vfs.read(&file.path, MAX_FILE_BYTES) else {
                continue;
            };
            for part in parts(self.database, file.number, &bytes) {
                if let Stretch::Frame(at, frame, payload) = part {
                    let at = (&*file.path, at as u64);
                    making.frame(at, file.scope, &frame, payload, report)?;
                }
            }
        }
        Ok(())
    }
}

/// What is behind the header of a file.
fn parts(database: u64, number: u64, bytes: &[u8]) -> Stretches<'_> {
    Stretches::of(FileHeader::seed(database, number), bytes, HEADER_BYTES)
}

/// The new database while changes are made in it.
struct Making<'a> {
    db: &'a Db,
    /// Namespaces by the ids of the old database; `None` where one was dropped.
    spaces: HashMap<u32, Option<Named>>,
    /// Labels of ids, by scope and namespace.
    ids: HashMap<(Scope, u32), HashMap<u32, Labels>>,
    /// Sequence of the last change that is there.
    last: u64,
}

/// A namespace of the new database.
struct Named {
    name: String,
    db: Db,
}

impl Named {
    fn of(db: &Db, name: &str) -> Option<Self> {
        let db = db.namespace(name).ok()?;
        let name = name.to_owned();
        Some(Self { name, db })
    }
}

impl<'a> Making<'a> {
    fn new(db: &'a Db, state: &State) -> Self {
        let records = state.namespaces.values();
        let spaces = records.map(|record| (record.id, Named::of(db, &record.name)));
        Self {
            db,
            spaces: spaces.collect(),
            ids: HashMap::new(),
            last: state.flushed_through,
        }
    }

    fn frame(
        &mut self,
        (path, at): (&Path, u64),
        scope: Scope,
        frame: &FrameHeader,
        payload: &[u8],
        report: &mut RepairReport,
    ) -> Result<()> {
        let Some(kind) = frame.known_kind() else {
            return Err(Error::Unsupported {
                file: path.to_owned(),
                offset: at,
                what: format!("a WAL frame of kind {} {:?}", frame.kind, frame.flags),
            });
        };
        let is_new = frame.sequence > self.last;
        if is_new && frame.sequence > self.last + 1 {
            let (first, last) = (self.last + 1, frame.sequence - 1);
            let what = format!("the changes {first} to {last} are missing before this frame");
            report.lose(Loss::of(path, at, what));
        }
        let at_payload = at + FRAME_HEADER_BYTES as u64;
        let damaged = |error| Error::codec(path, at_payload, error);
        let made = if kind == FrameKind::Batch {
            let batch = BatchPayload::decode(payload).map_err(damaged);
            batch.map(|batch| self.batch((path, at), scope, is_new, &batch, report))
        } else {
            match Change::decode(kind, payload).map_err(damaged) {
                Ok(Some(change)) if is_new => Ok(self.change(change)),
                Ok(_) => Ok(Ok(())),
                Err(error) => Err(error),
            }
        };
        match made {
            Ok(made) => refused((path, at), made, report)?,
            Err(error) => report.lose(Loss::error(path, error)),
        }
        if is_new {
            self.last = frame.sequence;
            report.frames += 1;
        }
        Ok(())
    }

    /// Defines series and, where the frame is new, appends its samples.
    fn batch(
        &mut self,
        (path, at): (&Path, u64),
        scope: Scope,
        is_new: bool,
        payload: &BatchPayload<'_>,
        report: &mut RepairReport,
    ) -> Result<()> {
        let ids = self.ids.entry((scope, payload.namespace)).or_default();
        for definition in &payload.definitions {
            match Labels::from_canonical(definition.labels) {
                Ok(labels) => drop(ids.insert(definition.id, labels)),
                Err(error) => report.lose(Loss::of(path, at, error.to_string())),
            }
        }
        let space = match self.spaces.get(&payload.namespace) {
            _ if !is_new => return Ok(()),
            Some(None) => return Ok(()),
            Some(Some(space)) => &space.db,
            None => {
                let name = format!("recovered-{}", payload.namespace);
                let db = self
                    .db
                    .create_namespace(&name, NamespaceOptions::default())?;
                let what = format!("no intact frame names its namespace, which is now {name}");
                report.lose(Loss::of(path, at, what));
                let slot = self.spaces.entry(payload.namespace);
                &slot.or_insert(None).insert(Named { name, db }).db
            }
        };
        let (mut batch, mut from, mut unknown) = (Batch::new(), 0, 0);
        for run in &payload.runs {
            for id in run.first..run.first.saturating_add(run.ids) {
                let places = from..from + run.len as usize;
                from = places.end;
                match (ids.get(&id), payload.samples(places)) {
                    (Some(labels), Some(samples)) => batch.push_samples(labels, &samples),
                    _ => unknown += u64::from(run.len),
                }
            }
        }
        if unknown > 0 {
            let what = "samples of series that no intact frame defines";
            report.lose(Loss::of(path, at, what).samples(unknown));
        }
        let appended = space.append_partial(&batch)?;
        report.frame_samples += appended.samples as u64;
        let rejected: usize = appended.rejected.iter().map(|one| one.samples).sum();
        if let Some(first) = appended.rejected.first() {
            let loss = Loss::of(path, at, first.reason.to_string());
            report.lose(loss.samples(rejected as u64));
        }
        Ok(())
    }

    fn change(&mut self, change: Change) -> Result<()> {
        match change {
            Change::Delete(delete) => match self.spaces.get(&delete.namespace) {
                Some(Some(space)) => space
                    .db
                    .delete(&delete.selector, delete.first..=delete.last),
                _ => Ok(()),
            },
            Change::Metadata(change) => match (self.spaces.get(&change.namespace), change.metadata)
            {
                (Some(Some(space)), Some(metadata)) => {
                    space.db.set_metadata(&change.metric, &metadata)
                }
                (Some(Some(space)), None) => space.db.remove_metadata(&change.metric),
                _ => Ok(()),
            },
            Change::Namespace(change) => self.namespace(change),
        }
    }

    fn namespace(&mut self, change: NamespaceChange) -> Result<()> {
        match change {
            NamespaceChange::Create { id, name, options } => {
                let db = self.db.create_namespace(&name, options)?;
                self.spaces.insert(id, Some(Named { name, db }));
            }
            NamespaceChange::Alter { id, options } => {
                if let Some(name) = self.name(id) {
                    self.db.alter_namespace(&name, options)?;
                }
            }
            NamespaceChange::Drop { id } => {
                if let Some(name) = self.name(id) {
                    self.db.drop_namespace(&name)?;
                }
                self.spaces.insert(id, None);
            }
        }
        Ok(())
    }

    fn name(&self, id: u32) -> Option<String> {
        Some(self.spaces.get(&id)?.as_ref()?.name.clone())
    }
}

/// Takes what a change was refused for as a loss; the new database failing is an error.
fn refused((path, at): (&Path, u64), made: Result<()>, report: &mut RepairReport) -> Result<()> {
    match made {
        Err(
            error @ (Error::Limit(_)
            | Error::Labels(_)
            | Error::InvalidArgument { .. }
            | Error::NoNamespace { .. }),
        ) => {
            report.lose(Loss::of(path, at, error.to_string()));
            Ok(())
        }
        made => made,
    }
}
