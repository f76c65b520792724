//! Files in memory: the store of `Db::in_memory()` and the ground on which the crash store stands.
//!
//! In: paths and bytes, as for the disk. Out: the answers a disk would give, with the same error
//! kinds. Invariant: a file's bytes are shared, not copied, with every map and every fork of the
//! store, and are copied when someone writes to them afterwards.
//!
//! Paths are taken apart by name: `/a/b`, `a/b` and `./a/b` are the same, `..` is refused. Nothing
//! is durable here, so the sync calls only check that what they name exists.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::memfile::{MemFile, MemHandle, MemLock};
use super::{Entry, EntryKind, File, Lock, Vfs};
use crate::sync::RwLock;

/// A store of files in memory. Clones are handles on the same store; [`MemVfs::fork`] copies it.
#[derive(Clone, Default)]
pub struct MemVfs {
    tree: Arc<RwLock<Tree>>,
}

impl MemVfs {
    /// An empty store, which holds its root directory only.
    pub fn new() -> MemVfs {
        MemVfs::default()
    }

    /// Another store with the same files, whose bytes are shared until one side writes them.
    ///
    /// Hard links stay links; locks are not taken over, as after a restart.
    #[must_use]
    pub fn fork(&self) -> MemVfs {
        let tree = self.tree.read();
        let mut contents = BTreeMap::new();
        let mut names = BTreeMap::new();
        for (&dir, entries) in &tree.dirs {
            for (name, node) in entries {
                if let Node::File(file) = node {
                    contents.entry(file.id()).or_insert_with(|| file.share());
                }
                names.insert((dir, Arc::clone(name)), node.id());
            }
        }
        MemVfs::assemble(&names, |id| contents.get(&id).cloned().unwrap_or_default())
    }

    /// Every file with its bytes, sorted by path: to compare two stores byte for byte.
    pub fn files(&self) -> Vec<(PathBuf, Bytes)> {
        let tree = self.tree.read();
        let mut files = Vec::new();
        let mut dirs = vec![(PathBuf::new(), ROOT)];
        while let Some((path, dir)) = dirs.pop() {
            for (name, node) in tree.dirs.get(&dir).into_iter().flatten() {
                match node {
                    Node::Dir(id) => dirs.push((path.join(&**name), *id)),
                    Node::File(file) => files.push((path.join(&**name), file.share())),
                }
            }
        }
        files.sort();
        files
    }

    /// A store of these names, below the directory [`ROOT`]; files take their bytes from `content`.
    pub(super) fn assemble(
        names: &BTreeMap<NameKey, NodeId>,
        mut content: impl FnMut(u64) -> Bytes,
    ) -> MemVfs {
        let mut tree = Tree::default();
        let mut files: BTreeMap<u64, Arc<MemFile>> = BTreeMap::new();
        let mut reached = vec![ROOT];
        while let Some(dir) = reached.pop() {
            let first = (dir, Arc::from(""));
            let entries = names.range(first..).take_while(|((of, _), _)| *of == dir);
            for ((_, name), &id) in entries {
                tree.next_id = tree.next_id.max(id.number() + 1);
                let node = match id {
                    NodeId::Dir(id) => {
                        tree.dirs.insert(id, BTreeMap::new());
                        reached.push(id);
                        Node::Dir(id)
                    }
                    NodeId::File(id) => Node::File(Arc::clone(
                        files
                            .entry(id)
                            .or_insert_with(|| MemFile::new(id, content(id))),
                    )),
                };
                tree.dirs
                    .entry(dir)
                    .or_default()
                    .insert(Arc::clone(name), node);
            }
        }
        MemVfs {
            tree: Arc::new(RwLock::new(tree)),
        }
    }

    /// All names of the store, keyed as [`MemVfs::assemble`] takes them.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn names(&self) -> BTreeMap<NameKey, NodeId> {
        let tree = self.tree.read();
        let dirs = tree.dirs.iter();
        dirs.flat_map(|(&dir, entries)| {
            entries
                .iter()
                .map(move |(name, node)| ((dir, Arc::clone(name)), node.id()))
        })
        .collect()
    }

    /// The bytes of each file by its number.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn contents(&self) -> BTreeMap<u64, Bytes> {
        let tree = self.tree.read();
        let nodes = tree.dirs.values().flat_map(BTreeMap::values);
        nodes
            .filter_map(|node| match node {
                Node::File(file) => Some((file.id(), file.share())),
                Node::Dir(_) => None,
            })
            .collect()
    }

    /// The name that a path stands for, and what has it now.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn locate(&self, path: &Path) -> io::Result<(NameKey, Option<NodeId>)> {
        let tree = self.tree.read();
        let (dir, name) = tree.parent(path)?;
        let node = tree
            .dirs
            .get(&dir)
            .and_then(|names| names.get(name))
            .map(Node::id);
        Ok(((dir, Arc::from(name)), node))
    }

    /// The number of an existing directory.
    pub(super) fn dir_id(&self, dir: &Path) -> io::Result<u64> {
        self.tree.read().dir(&parts(dir)?)
    }

    pub(super) fn open_file(&self, path: &Path, writable: bool) -> io::Result<MemHandle> {
        match self.tree.read().node(path)? {
            Node::File(file) => Ok(MemHandle::new(Arc::clone(file), writable)),
            Node::Dir(_) if writable => Err(ErrorKind::IsADirectory.into()),
            Node::Dir(_) => Err(not_regular()),
        }
    }

    pub(super) fn create_file(&self, path: &Path) -> io::Result<MemHandle> {
        let mut tree = self.tree.write();
        let (dir, name) = tree.parent(path)?;
        let id = tree.next_id;
        let names = tree.names_mut(dir)?;
        if names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let file = MemFile::new(id, Bytes::new());
        names.insert(Arc::from(name), Node::File(Arc::clone(&file)));
        tree.next_id += 1;
        Ok(MemHandle::new(file, true))
    }

    pub(super) fn lock_file(&self, path: &Path) -> io::Result<MemLock> {
        let handle = match self.create_file(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.open_file(path, true)?,
            created => created?,
        };
        handle.lock()
    }
}

impl Vfs for MemVfs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree.write();
        let mut dir = ROOT;
        let parts = parts(path)?;
        for (index, name) in parts.iter().copied().enumerate() {
            let id = tree.next_id;
            match tree.names_mut(dir)?.get(name) {
                Some(Node::Dir(found)) => dir = *found,
                Some(Node::File(_)) if index + 1 == parts.len() => {
                    return Err(ErrorKind::AlreadyExists.into());
                }
                Some(Node::File(_)) => return Err(ErrorKind::NotADirectory.into()),
                None => {
                    tree.names_mut(dir)?.insert(Arc::from(name), Node::Dir(id));
                    tree.dirs.insert(id, BTreeMap::new());
                    tree.next_id += 1;
                    dir = id;
                }
            }
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.create_file(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open_file(path, false)?))
    }

    fn open_rw(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open_file(path, true)?))
    }

    fn map(&self, path: &Path) -> io::Result<Bytes> {
        Ok(self.open_file(path, false)?.share())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.tree.write().rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree.write();
        let (dir, name) = tree.parent(path)?;
        let names = tree.names_mut(dir)?;
        match names.get(name) {
            None => Err(ErrorKind::NotFound.into()),
            Some(Node::Dir(_)) => Err(ErrorKind::IsADirectory.into()),
            Some(Node::File(_)) => {
                names.remove(name);
                Ok(())
            }
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree.write();
        let (dir, name) = tree.parent(path)?;
        let id = match tree.names_mut(dir)?.get(name) {
            None => return Err(ErrorKind::NotFound.into()),
            Some(Node::File(_)) => return Err(ErrorKind::NotADirectory.into()),
            Some(Node::Dir(id)) => *id,
        };
        if !tree.names_mut(id)?.is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        tree.names_mut(dir)?.remove(name);
        tree.dirs.remove(&id);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.tree.write();
        let found = match tree.node(from)? {
            Node::File(file) => Some(Arc::clone(file)),
            Node::Dir(_) => None,
        };
        let (dir, name) = tree.parent(to)?;
        let names = tree.names_mut(dir)?;
        if names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        // The system's order: a taken name is the first thing it complains about.
        let file = found.ok_or(ErrorKind::PermissionDenied)?;
        names.insert(Arc::from(name), Node::File(file));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let tree = self.tree.read();
        let dir = tree.dir(&parts(dir)?)?;
        let names = tree.dirs.get(&dir).ok_or(ErrorKind::NotFound)?;
        let entries = names.iter().map(|(name, node)| match node {
            Node::Dir(_) => Entry {
                name: name.to_string(),
                len: 0,
                kind: EntryKind::Dir,
            },
            Node::File(file) => {
                let len = file.len();
                Entry {
                    name: name.to_string(),
                    len,
                    kind: EntryKind::File,
                }
            }
        });
        Ok(entries.collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        if parts(path)?.is_empty() {
            return Ok(true);
        }
        match self.tree.read().node(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.dir_id(dir).map(|_| ())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let lock = self.lock_file(path)?;
        let note = format!("pid {}\n", std::process::id());
        lock.note(Bytes::from(note));
        Ok(Box::new(lock))
    }
}

impl fmt::Debug for MemVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tree = self.tree.read();
        let names = tree.dirs.values().map(BTreeMap::len).sum::<usize>();
        f.debug_struct("MemVfs")
            .field("names", &names)
            .finish_non_exhaustive()
    }
}

/// A name: the number of its directory, and the last part of the path.
pub(super) type NameKey = (u64, Arc<str>);

/// What a name stands for, by number. Numbers of files and directories never repeat in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeId {
    Dir(u64),
    File(u64),
}

impl NodeId {
    fn number(self) -> u64 {
        match self {
            NodeId::Dir(id) | NodeId::File(id) => id,
        }
    }
}

/// The number of the root directory.
pub(super) const ROOT: u64 = 0;

enum Node {
    Dir(u64),
    File(Arc<MemFile>),
}

impl Node {
    fn id(&self) -> NodeId {
        match self {
            Node::Dir(id) => NodeId::Dir(*id),
            Node::File(file) => NodeId::File(file.id()),
        }
    }
}

/// All directories by number; what cannot be reached from [`ROOT`] is never asked for.
struct Tree {
    dirs: BTreeMap<u64, BTreeMap<Arc<str>, Node>>,
    next_id: u64,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree {
            dirs: BTreeMap::from([(ROOT, BTreeMap::new())]),
            next_id: ROOT + 1,
        }
    }
}

impl Tree {
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        // The checks are in the order of Linux, so that the same one answers first.
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        let moved = self.node(from)?.id();
        let (from_parts, to_parts) = (parts(from)?, parts(to)?);
        if to_parts.len() > from_parts.len() && to_parts.starts_with(&from_parts) {
            return Err(ErrorKind::InvalidInput.into());
        }
        if from_parts.len() > to_parts.len() && from_parts.starts_with(&to_parts) {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        match (moved, self.names_mut(to_dir)?.get(to_name).map(Node::id)) {
            // Two names of one file: POSIX says that nothing happens.
            (moved, Some(replaced)) if moved == replaced => return Ok(()),
            (NodeId::File(_), Some(NodeId::Dir(_))) => return Err(ErrorKind::IsADirectory.into()),
            (NodeId::Dir(_), Some(NodeId::File(_))) => return Err(ErrorKind::NotADirectory.into()),
            (NodeId::Dir(_), Some(NodeId::Dir(id))) if !self.names_mut(id)?.is_empty() => {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            _ => {}
        }
        let node = self
            .names_mut(from_dir)?
            .remove(from_name)
            .ok_or(ErrorKind::NotFound)?;
        self.names_mut(to_dir)?.insert(Arc::from(to_name), node);
        Ok(())
    }

    fn dir(&self, parts: &[&str]) -> io::Result<u64> {
        let mut dir = ROOT;
        for part in parts {
            match self.dirs.get(&dir).and_then(|names| names.get(*part)) {
                Some(Node::Dir(id)) => dir = *id,
                Some(Node::File(_)) => return Err(ErrorKind::NotADirectory.into()),
                None => return Err(ErrorKind::NotFound.into()),
            }
        }
        Ok(dir)
    }

    fn parent<'a>(&self, path: &'a Path) -> io::Result<(u64, &'a str)> {
        let parts = parts(path)?;
        let (name, dir) = parts.split_last().ok_or(ErrorKind::InvalidInput)?;
        Ok((self.dir(dir)?, name))
    }

    fn node(&self, path: &Path) -> io::Result<&Node> {
        let (dir, name) = self.parent(path)?;
        let node = self.dirs.get(&dir).and_then(|names| names.get(name));
        node.ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn names_mut(&mut self, dir: u64) -> io::Result<&mut BTreeMap<Arc<str>, Node>> {
        self.dirs
            .get_mut(&dir)
            .ok_or_else(|| ErrorKind::NotFound.into())
    }
}

/// The names of a path, without the root and dots.
fn parts(path: &Path) -> io::Result<Vec<&str>> {
    let names = path
        .components()
        .filter(|c| !matches!(c, Component::RootDir | Component::CurDir));
    names
        .map(|name| match name {
            Component::Normal(name) => name.to_str().ok_or_else(|| ErrorKind::InvalidInput.into()),
            _ => Err(ErrorKind::InvalidInput.into()),
        })
        .collect()
}

fn not_regular() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "not a regular file")
}
