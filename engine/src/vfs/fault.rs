//! A store that fails when told to: the wrapper that makes every error path reachable.
//!
//! In: any other store, and which call shall fail how. Out: the same store with those failures.
//! Invariant: a call that fails has changed nothing, except a short write, which wrote its first
//! half, and a failed sync, after which the data may be lost whatever later syncs say.
//!
//! A test counts the calls of its workload once and then runs it again for every number from 1,
//! with the fault armed at that call, until [`FaultVfs::fired`] stays 0.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::room::{Room, Rooms};
use super::{Entry, File, Lock, Vfs};
use crate::sync::Mutex;

/// A store that passes calls on to another one, or fails them. Clones are handles on the same one.
#[derive(Clone)]
pub struct FaultVfs {
    inner: Arc<dyn Vfs>,
    state: Arc<Mutex<State>>,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The device fails: any call answers EIO.
    Io,
    /// The disk is full: what needs room answers ENOSPC.
    NoSpace,
    /// A signal interrupts a read or write before it began: EINTR.
    Interrupted,
    /// A read answers with half of what was asked (reads of one byte are whole).
    ShortRead,
    /// A write takes half of what was given, and the next write answers ENOSPC.
    ShortWrite,
    /// A sync of a file or directory answers EIO. What it covered may be lost, and later syncs of
    /// the same file say nothing about it.
    Sync,
    /// The process is dead: no call does anything any more. What it did not sync stays as it is, for
    /// others to see and to sync.
    Dead,
}

impl Fault {
    /// All that a disk does, for tests that try each.
    pub const ALL: [Fault; 6] = [
        Fault::Io,
        Fault::NoSpace,
        Fault::Interrupted,
        Fault::ShortRead,
        Fault::ShortWrite,
        Fault::Sync,
    ];

    /// Whether a call of this kind can fail in this way.
    fn hits(self, kind: CallKind) -> bool {
        match self {
            Fault::Io | Fault::Dead => true,
            Fault::NoSpace => matches!(
                kind,
                CallKind::CreateDir
                    | CallKind::Create
                    | CallKind::Rename
                    | CallKind::Link
                    | CallKind::Write
                    | CallKind::SetLen
            ),
            Fault::Interrupted => matches!(kind, CallKind::Read | CallKind::Write),
            Fault::ShortRead => kind == CallKind::Read,
            Fault::ShortWrite => kind == CallKind::Write,
            Fault::Sync => matches!(kind, CallKind::Sync | CallKind::SyncDir),
        }
    }
}

/// How long a fault stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It happens one time.
    Once,
    /// Every call that it can hit fails, until [`FaultVfs::heal`].
    Forever,
}

/// The calls of [`Vfs`] and [`File`], by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its call")]
pub enum CallKind {
    CreateDir,
    Create,
    Open,
    Map,
    Rename,
    Remove,
    Link,
    List,
    Exists,
    SyncDir,
    Lock,
    Len,
    Read,
    Write,
    SetLen,
    Sync,
}

impl FaultVfs {
    /// A wrapper around a store, which fails nothing yet.
    pub fn new(inner: Arc<dyn Vfs>) -> FaultVfs {
        let state = State {
            calls: 0,
            armed: Vec::new(),
            fired: 0,
            last: VecDeque::with_capacity(LAST_MAX),
            rooms: Rooms::default(),
            files: BTreeMap::new(),
        };
        FaultVfs {
            inner,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Fails the first call that the fault can hit, from call number `call` (the first is 1) on.
    pub fn fail(&self, call: u64, fault: Fault, repeat: Repeat) {
        self.arm(Armed {
            call,
            fault,
            repeat,
            only: None,
            full: false,
        });
    }

    /// As [`FaultVfs::fail`], but only calls of this kind are hit.
    pub fn fail_only(&self, kind: CallKind, call: u64, fault: Fault, repeat: Repeat) {
        self.arm(Armed {
            call,
            fault,
            repeat,
            only: Some(kind),
            full: false,
        });
    }

    /// Ends all faults; the size of the disk stays.
    pub fn heal(&self) {
        self.state.lock().armed.clear();
    }

    /// Makes the disk this large: writes that need more fail with ENOSPC, short ones first.
    ///
    /// Counted are the bytes of the files below `root`, and of all that are written through this
    /// store; a file's room ends with its last name and its last handle, or when it is cut.
    /// Extending with `set_len` needs no room, as for a sparse file, but writing there does, with
    /// all that lies before. A file below `root` that had two names before is counted twice.
    pub fn set_capacity(&self, root: &Path, bytes: u64) -> io::Result<()> {
        let mut dirs = vec![root.to_path_buf()];
        while let Some(dir) = dirs.pop() {
            for entry in self.inner.list(&dir)? {
                let path = dir.join(&entry.name);
                match entry.kind {
                    super::EntryKind::Dir => dirs.push(path),
                    super::EntryKind::File => drop(self.state.lock().room(&path, entry.len)),
                    super::EntryKind::Other => {}
                }
            }
        }
        self.state.lock().rooms.set_capacity(Some(bytes));
        Ok(())
    }

    /// Makes the disk endless again.
    pub fn clear_capacity(&self) {
        self.state.lock().rooms.set_capacity(None);
    }

    /// The bytes that files take, as [`FaultVfs::set_capacity`] counts them.
    pub fn used(&self) -> u64 {
        self.state.lock().rooms.used()
    }

    /// How many calls were made so far, of any kind, failed ones too.
    pub fn calls(&self) -> u64 {
        self.state.lock().calls
    }

    /// How many calls were failed or shortened by an armed fault.
    pub fn fired(&self) -> u64 {
        self.state.lock().fired
    }

    /// The last calls, oldest first, each with its number, and how it was failed: to print.
    pub fn last_calls(&self) -> Vec<String> {
        self.state.lock().last.iter().cloned().collect()
    }

    fn arm(&self, armed: Armed) {
        self.state.lock().armed.push(armed);
    }

    /// Counts the call; the fault that hits it, when one does.
    fn count(&self, kind: CallKind, what: fmt::Arguments<'_>) -> Option<Fault> {
        self.state.lock().count(kind, what)
    }

    /// Counts a call that either happens or fails as a whole.
    fn pass(&self, kind: CallKind, path: &Path) -> io::Result<()> {
        match self.count(kind, format_args!("{}", path.display())) {
            None => Ok(()),
            Some(fault) => Err(error(fault)),
        }
    }

    fn wrap(&self, path: &Path, inner: Arc<dyn File>) -> io::Result<Arc<dyn File>> {
        let len = inner.len()?;
        let room = self.state.lock().room(path, len);
        Ok(Arc::new(FaultFile {
            store: self.clone(),
            path: path.to_path_buf(),
            inner,
            room,
        }))
    }
}

impl fmt::Debug for FaultVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultVfs")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl Vfs for FaultVfs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.pass(CallKind::CreateDir, path)?;
        self.inner.create_dir(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.pass(CallKind::Create, path)?;
        self.wrap(path, self.inner.create(path)?)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.pass(CallKind::Open, path)?;
        self.wrap(path, self.inner.open(path)?)
    }

    fn open_rw(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.pass(CallKind::Open, path)?;
        self.wrap(path, self.inner.open_rw(path)?)
    }

    fn map(&self, path: &Path) -> io::Result<Bytes> {
        self.pass(CallKind::Map, path)?;
        self.inner.map(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass(CallKind::Rename, from)?;
        self.inner.rename(from, to)?;
        self.state.lock().renamed(from, to);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.pass(CallKind::Remove, path)?;
        self.inner.remove(path)?;
        self.state.lock().files.remove(path);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.pass(CallKind::Remove, path)?;
        self.inner.remove_dir(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass(CallKind::Link, from)?;
        self.inner.link(from, to)?;
        let mut state = self.state.lock();
        if let Some(room) = state.files.get(from).cloned() {
            state.files.insert(to.to_path_buf(), room);
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.pass(CallKind::List, dir)?;
        self.inner.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.pass(CallKind::Exists, path)?;
        self.inner.exists(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        match self.count(CallKind::SyncDir, format_args!("{}", dir.display())) {
            None => self.inner.sync_dir(dir),
            Some(fault) => {
                if fault != Fault::Dead {
                    self.inner.sync_dir_failed(dir);
                }
                Err(error(fault))
            }
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.pass(CallKind::Lock, path)?;
        self.inner.lock(path)
    }

    fn absolute(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.absolute(path)
    }

    fn total_memory(&self) -> u64 {
        self.inner.total_memory()
    }

    fn sync_dir_failed(&self, dir: &Path) {
        self.inner.sync_dir_failed(dir);
    }
}

struct State {
    calls: u64,
    armed: Vec<Armed>,
    fired: u64,
    last: VecDeque<String>,
    rooms: Rooms,
    files: BTreeMap<PathBuf, Arc<Room>>,
}

#[derive(Clone, Copy)]
struct Armed {
    call: u64,
    fault: Fault,
    repeat: Repeat,
    only: Option<CallKind>,
    /// A short write has filled the disk: the next write finds it full.
    full: bool,
}

impl State {
    fn count(&mut self, kind: CallKind, what: fmt::Arguments<'_>) -> Option<Fault> {
        self.calls += 1;
        let number = self.calls;
        let hit = self.armed.iter().position(|armed| {
            armed.call <= number
                && armed.fault.hits(kind)
                && armed.only.is_none_or(|only| only == kind)
        });
        let fault = hit.and_then(|index| self.fire(index));
        if self.last.len() == LAST_MAX {
            self.last.pop_front();
        }
        let ending = fault
            .map(|fault| format!(": {fault:?}"))
            .unwrap_or_default();
        self.last
            .push_back(format!("call {number}: {kind:?} {what}{ending}"));
        fault
    }

    fn fire(&mut self, index: usize) -> Option<Fault> {
        let armed = self.armed.get_mut(index)?;
        self.fired += 1;
        let fault = if armed.full {
            Fault::NoSpace
        } else {
            armed.fault
        };
        let more = armed.fault == Fault::ShortWrite && !armed.full;
        armed.full |= more;
        if armed.repeat == Repeat::Once && !more {
            self.armed.remove(index);
        }
        Some(fault)
    }

    /// The room of the file with this name, `len` bytes when it was not known yet.
    fn room(&mut self, path: &Path, len: u64) -> Arc<Room> {
        let State { rooms, files, .. } = self;
        Arc::clone(
            files
                .entry(path.to_path_buf())
                .or_insert_with(|| Arc::new(rooms.add(len))),
        )
    }

    /// Moves the file, or all files of the directory, to the other name.
    fn renamed(&mut self, from: &Path, to: &Path) {
        let moved: Vec<PathBuf> = self
            .files
            .keys()
            .filter(|path| path.starts_with(from))
            .cloned()
            .collect();
        for old in moved {
            let Ok(below) = old.strip_prefix(from) else {
                continue;
            };
            // Joining the empty path would add a slash.
            let new = if below.as_os_str().is_empty() {
                to.into()
            } else {
                to.join(below)
            };
            if let Some(room) = self.files.remove(&old) {
                self.files.insert(new, room);
            }
        }
    }
}

const LAST_MAX: usize = 64;

struct FaultFile {
    store: FaultVfs,
    path: PathBuf,
    inner: Arc<dyn File>,
    room: Arc<Room>,
}

impl fmt::Debug for FaultFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultFile")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl File for FaultFile {
    fn len(&self) -> io::Result<u64> {
        self.store.pass(CallKind::Len, &self.path)?;
        self.inner.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let path = self.path.display();
        let what = format_args!("{path}, {} bytes at {offset}", buf.len());
        match self.store.count(CallKind::Read, what) {
            None => self.inner.read_at(buf, offset),
            Some(Fault::ShortRead) => {
                let half = buf.len().div_ceil(2);
                self.inner.read_at(&mut buf[..half], offset)
            }
            Some(fault) => Err(error(fault)),
        }
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let path = self.path.display();
        let what = format_args!("{path}, {} bytes at {offset}", buf.len());
        let wanted = match self.store.count(CallKind::Write, what) {
            None => buf.len(),
            Some(Fault::ShortWrite) if buf.len() > 1 => buf.len() / 2,
            Some(fault) => return Err(error(fault)),
        };
        let fits = self.room.reserve(offset, wanted as u64) as usize;
        if fits == 0 && !buf.is_empty() {
            return Err(ErrorKind::StorageFull.into());
        }
        self.inner.write_at(&buf[..fits], offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.store.pass(CallKind::SetLen, &self.path)?;
        self.inner.set_len(len)?;
        self.room.cut(len);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let path = self.path.display();
        match self.store.count(CallKind::Sync, format_args!("{path}")) {
            None => self.inner.sync(),
            Some(fault) => {
                if fault != Fault::Dead {
                    self.inner.sync_failed();
                }
                Err(error(fault))
            }
        }
    }

    fn sync_failed(&self) {
        self.inner.sync_failed();
    }
}

/// The error that the operating system would give, so that callers see its number too.
fn error(fault: Fault) -> io::Error {
    io::Error::from_raw_os_error(match fault {
        Fault::Io | Fault::Sync | Fault::ShortRead | Fault::Dead => libc::EIO,
        Fault::NoSpace | Fault::ShortWrite => libc::ENOSPC,
        Fault::Interrupted => libc::EINTR,
    })
}
