//! The room that files take on a disk of limited size.
//!
//! In: how far each file is written. Out: how much of the next write fits. Invariant: the sum over
//! all files that still have a name or a handle never grows past the capacity.

use std::sync::Arc;

use crate::sync::Mutex;

/// The rooms of all files, and how much there is for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Rooms {
    disk: Arc<Mutex<Space>>,
}

#[derive(Debug, Default)]
struct Space {
    used: u64,
    capacity: Option<u64>,
}

impl Rooms {
    pub(super) fn set_capacity(&self, bytes: Option<u64>) {
        self.disk.lock().capacity = bytes;
    }

    pub(super) fn used(&self) -> u64 {
        self.disk.lock().used
    }

    /// The room of a file of this length, which is there whatever the capacity says.
    pub(super) fn add(&self, len: u64) -> Room {
        self.disk.lock().used += len;
        Room {
            disk: Arc::clone(&self.disk),
            len: Mutex::new(len),
        }
    }
}

/// The room of one file; given back when the last name and handle drop it.
#[derive(Debug)]
pub(super) struct Room {
    disk: Arc<Mutex<Space>>,
    /// How far the file was ever written since it was cut.
    len: Mutex<u64>,
}

impl Room {
    /// Takes room for `count` bytes at `offset`, and for a gap before them; how many of them fit,
    /// from the first.
    pub(super) fn reserve(&self, offset: u64, count: u64) -> u64 {
        let mut len = self.len.lock();
        let mut disk = self.disk.lock();
        let free = disk
            .capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(disk.used));
        let fits = len.saturating_add(free).saturating_sub(offset).min(count);
        if fits > 0 {
            let grown = offset.saturating_add(fits).saturating_sub(*len);
            *len += grown;
            disk.used += grown;
        }
        fits
    }

    /// Gives back what lies behind `end`.
    pub(super) fn cut(&self, end: u64) {
        let mut len = self.len.lock();
        let freed = len.saturating_sub(end);
        *len -= freed;
        self.disk.lock().used -= freed;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.disk.lock().used -= *self.len.get_mut();
    }
}
