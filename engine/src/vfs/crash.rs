//! A store that remembers every call, to show what a power cut at any of them may leave behind.
//!
//! In: the calls of a running program, which sees an ordinary store in memory. Out: for any call,
//! the images that a restart could find. Invariant: same calls, same seed, same index, same image.
//!
//! A test runs its program once, notes [`CrashVfs::calls`] whenever something is acknowledged, and
//! then for every number of calls opens the images: what was acknowledged by then must be in each.
//! The state after call `k` covers a cut in the middle of call `k + 1` too, because unsynced calls
//! may be there in part. Locks are gone in every image.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::image::{Change, Disk, Images, Op, Plan};
use super::mem::{MemVfs, NodeId};
use super::memfile::{MemHandle, MemLock};
use super::{Entry, File, Lock, Vfs};
use crate::sync::Mutex;

/// A recording store in memory. Clones are handles on the same store.
#[derive(Clone)]
pub struct CrashVfs {
    shared: Arc<Shared>,
}

struct Shared {
    mem: MemVfs,
    start: Arc<Disk>,
    /// The calls so far. Held during each of them, so that the order is that of their effects.
    calls: Mutex<Vec<Call>>,
    /// The disk after some number of calls: the next question is often about a later one.
    replayed: Mutex<(u64, Arc<Disk>)>,
}

struct Call {
    path: Arc<str>,
    op: Op,
}

impl CrashVfs {
    /// An empty store.
    pub fn new() -> CrashVfs {
        CrashVfs::resume(&MemVfs::new())
    }

    /// A store that starts with all of this image durable: the restart after a crash. To crash the
    /// recovery too, run it on this and ask for images again.
    pub fn resume(image: &MemVfs) -> CrashVfs {
        let mem = image.fork();
        let start = Arc::new(Disk::new(mem.names(), mem.contents()));
        let replayed = Mutex::new((0, Arc::clone(&start)));
        let calls = Mutex::new(Vec::new());
        CrashVfs {
            shared: Arc::new(Shared {
                mem,
                start,
                calls,
                replayed,
            }),
        }
    }

    /// How many calls changed the store or synced a part of it so far. Each may be the last one.
    pub fn calls(&self) -> u64 {
        self.shared.calls.lock().len() as u64
    }

    /// The first `count` images of a power cut after `call` calls (at most [`CrashVfs::calls`]).
    ///
    /// Image 0 has lost everything unsynced, image 1 has kept it all. With at most 8 unsynced calls
    /// every even number from 2 is another subset of them, until all 256 were there, so that a
    /// `count` of 512 misses none. The other images are drawn by the seed: calls lost, kept, torn
    /// at 0, 1, 512, 4096, len - 1, sector edges and random bytes, their range left old, zeroed or
    /// garbage. When nothing is unsynced there is one image.
    pub fn images(&self, call: u64, seed: u64, count: u64) -> Images {
        let (call, disk) = self.disk(call);
        Images::new(disk, seed, call, count)
    }

    /// Image number `index` of those that [`CrashVfs::images`] gives: to repeat a failure.
    pub fn image(&self, call: u64, seed: u64, index: u64) -> MemVfs {
        let (call, disk) = self.disk(call);
        disk.image(&mut Plan::numbered(&disk, seed, call, index))
    }

    /// What became of each unsynced call in that image, one per line: to print with a failure.
    pub fn describe(&self, call: u64, seed: u64, index: u64) -> String {
        let (call, disk) = self.disk(call);
        disk.describe(&Plan::numbered(&disk, seed, call, index))
    }

    /// What the next process finds when this one is killed now and the machine runs on.
    pub fn kill_image(&self) -> MemVfs {
        let _still = self.shared.calls.lock();
        self.shared.mem.fork()
    }

    /// How many of the first `call` calls may be lost by a power cut after them.
    pub fn unsynced(&self, call: u64) -> usize {
        self.disk(call).1.unsynced()
    }

    /// The last calls before `call`, at most `count`, in words and with their numbers.
    pub fn last_calls(&self, call: u64, count: usize) -> Vec<String> {
        let calls = self.shared.calls.lock();
        let end = usize::try_from(call).unwrap_or(usize::MAX).min(calls.len());
        let shown = calls
            .iter()
            .enumerate()
            .take(end)
            .skip(end.saturating_sub(count));
        shown
            .map(|(index, call)| format!("call {}: {call}", index + 1))
            .collect()
    }

    fn disk(&self, call: u64) -> (u64, Arc<Disk>) {
        let calls = self.shared.calls.lock();
        let call = call.min(calls.len() as u64);
        let mut replayed = self.shared.replayed.lock();
        if replayed.0 > call {
            *replayed = (0, Arc::clone(&self.shared.start));
        }
        let (done, disk) = &mut *replayed;
        for next in calls.iter().take(call as usize).skip(*done as usize) {
            *done += 1;
            Arc::make_mut(disk).apply(*done, &next.op);
        }
        (call, Arc::clone(disk))
    }

    /// Makes a call that changes names, and remembers what it changed.
    fn change<T>(
        &self,
        path: &Path,
        call: impl FnOnce(&MemVfs) -> io::Result<(T, Op)>,
    ) -> io::Result<T> {
        let mut calls = self.shared.calls.lock();
        let (result, op) = call(&self.shared.mem)?;
        calls.push(Call {
            path: text(path),
            op,
        });
        Ok(result)
    }

    fn file(&self, path: &Path, handle: MemHandle) -> Arc<dyn File> {
        Arc::new(CrashFile {
            store: self.clone(),
            path: text(path),
            handle,
        })
    }
}

impl Default for CrashVfs {
    fn default() -> CrashVfs {
        CrashVfs::new()
    }
}

impl fmt::Debug for CrashVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrashVfs")
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

impl Vfs for CrashVfs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut ancestors: Vec<&Path> = path.ancestors().collect();
        ancestors.reverse();
        for dir in ancestors {
            if dir != path && self.shared.mem.exists(dir)? {
                continue;
            }
            let mut calls = self.shared.calls.lock();
            let known = self.shared.mem.exists(dir)?;
            self.shared.mem.create_dir(dir)?;
            if !known {
                let (name, node) = self.shared.mem.locate(dir)?;
                calls.push(Call {
                    path: text(dir),
                    op: Op::Names(vec![(name, node)]),
                });
            }
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let handle = self.change(path, |mem| {
            let handle = mem.create_file(path)?;
            let (name, node) = mem.locate(path)?;
            Ok((handle, Op::Names(vec![(name, node)])))
        })?;
        Ok(self.file(path, handle))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.file(path, self.shared.mem.open_file(path, false)?))
    }

    fn open_rw(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.file(path, self.shared.mem.open_file(path, true)?))
    }

    fn map(&self, path: &Path) -> io::Result<Bytes> {
        self.shared.mem.map(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(from, |mem| {
            let (from_name, node) = mem.locate(from)?;
            let (to_name, replaced) = mem.locate(to)?;
            mem.rename(from, to)?;
            let same = node == replaced;
            let changes = vec![(from_name, None), (to_name, node)];
            Ok(((), Op::Names(if same { Vec::new() } else { changes })))
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(path, |mem| {
            let (name, _) = mem.locate(path)?;
            mem.remove(path)?;
            Ok(((), Op::Names(vec![(name, None)])))
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.change(path, |mem| {
            let (name, _) = mem.locate(path)?;
            mem.remove_dir(path)?;
            Ok(((), Op::Names(vec![(name, None)])))
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(to, |mem| {
            mem.link(from, to)?;
            let (name, node) = mem.locate(to)?;
            Ok(((), Op::Names(vec![(name, node)])))
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.shared.mem.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.shared.mem.exists(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(dir, |mem| Ok(((), Op::SyncDir(mem.dir_id(dir)?))))
    }

    /// The note inside the lock file is left out: unsynced for ever, it would only hide the calls
    /// that matter among those that may be lost.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut calls = self.shared.calls.lock();
        let known = self.shared.mem.exists(path)?;
        let lock: MemLock = self.shared.mem.lock_file(path)?;
        if !known {
            let (name, node) = self.shared.mem.locate(path)?;
            calls.push(Call {
                path: text(path),
                op: Op::Names(vec![(name, node)]),
            });
        }
        Ok(Box::new(lock))
    }

    /// The same on every machine, so that runs repeat.
    fn total_memory(&self) -> u64 {
        1 << 30
    }

    fn sync_dir_failed(&self, dir: &Path) {
        // A directory that is not there has nothing to lose.
        let _ = self.change(dir, |mem| Ok(((), Op::SyncDirFailed(mem.dir_id(dir)?))));
    }
}

struct CrashFile {
    store: CrashVfs,
    path: Arc<str>,
    handle: MemHandle,
}

impl CrashFile {
    fn record<T>(&self, call: impl FnOnce() -> io::Result<(T, Op)>) -> io::Result<T> {
        let mut calls = self.store.shared.calls.lock();
        let (result, op) = call()?;
        calls.push(Call {
            path: Arc::clone(&self.path),
            op,
        });
        Ok(result)
    }
}

impl fmt::Debug for CrashFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrashFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl File for CrashFile {
    fn len(&self) -> io::Result<u64> {
        self.handle.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.handle.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        if buf.is_empty() {
            return self.handle.write_at(buf, offset);
        }
        self.record(|| {
            let count = self.handle.write_at(buf, offset)?;
            let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
            let data = Bytes::copy_from_slice(&buf[..count]);
            Ok((
                count,
                Op::Data(self.handle.id(), Change::Write { offset, data }),
            ))
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.record(|| {
            self.handle.set_len(len)?;
            let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
            Ok(((), Op::Data(self.handle.id(), Change::SetLen(len))))
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.record(|| Ok(((), Op::Sync(self.handle.id()))))
    }

    fn sync_failed(&self) {
        // Recording cannot fail here.
        let _ = self.record(|| Ok(((), Op::SyncFailed(self.handle.id()))));
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.op {
            Op::Names(changes) => {
                write!(f, "names {path}:")?;
                for ((dir, name), node) in changes {
                    match node {
                        Some(NodeId::Dir(id)) => write!(f, " {dir}/{name} = directory {id}")?,
                        Some(NodeId::File(id)) => write!(f, " {dir}/{name} = file {id}")?,
                        None => write!(f, " {dir}/{name} gone")?,
                    }
                }
                Ok(())
            }
            Op::Data(_, Change::Write { offset, data }) => {
                write!(f, "write {path}, {} bytes at {offset}", data.len())
            }
            Op::Data(_, Change::SetLen(len)) => write!(f, "set_len {path} to {len}"),
            Op::Sync(_) => write!(f, "sync {path}"),
            Op::SyncFailed(_) => write!(f, "sync {path} failed"),
            Op::SyncDir(_) => write!(f, "sync_dir {path}"),
            Op::SyncDirFailed(_) => write!(f, "sync_dir {path} failed"),
        }
    }
}

fn text(path: &Path) -> Arc<str> {
    Arc::from(path.to_string_lossy())
}
