//! Arena: byte records that are only ever added, in pages that never move.
//!
//! Input: a record of at most [`MAX_RECORD`] bytes. Output: its place, a `u32`, so that tables can
//! name records in four bytes. Invariant: a record lies inside one page, and only the last page
//! grows, so that adding copies at most one page.

/// Bytes of a full page; larger than any record.
const PAGE: usize = 256 << 10;
/// Longest record.
pub(crate) const MAX_RECORD: usize = PAGE;

/// Byte records by place.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    pages: Vec<Vec<u8>>,
    heap: usize,
}

impl Arena {
    /// Adds `record`; `None` when it is too long or four bytes cannot name its place.
    pub(crate) fn add(&mut self, record: &[u8]) -> Option<u32> {
        if record.len() > MAX_RECORD {
            return None;
        }
        if self
            .pages
            .last()
            .is_none_or(|page| page.len() + record.len() > PAGE)
        {
            if self.pages.len() >= (1 << 32) / PAGE {
                return None;
            }
            self.pages.push(Vec::new());
        }
        let number = self.pages.len() - 1;
        let page = self.pages.last_mut()?;
        let before = page.capacity();
        if page.len() + record.len() > before {
            let wanted = (before * 2).clamp(64, PAGE).max(page.len() + record.len());
            page.reserve_exact(wanted - page.len());
        }
        self.heap += page.capacity() - before;
        let at = number * PAGE + page.len();
        page.extend_from_slice(record);
        u32::try_from(at).ok()
    }

    /// The bytes from `at` to the end of the page; empty for a place that was never given.
    #[inline]
    pub(crate) fn from(&self, at: u32) -> &[u8] {
        let at = at as usize;
        self.pages
            .get(at / PAGE)
            .and_then(|page| page.get(at % PAGE..))
            .unwrap_or_default()
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.heap + self.pages.capacity() * size_of::<Vec<u8>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_all_sizes_come_back() {
        let mut arena = Arena::default();
        let sizes = [
            0,
            1,
            63,
            64,
            65,
            PAGE - 200,
            1000,
            PAGE,
            1,
            PAGE / 2,
            PAGE / 2,
            PAGE / 2,
        ];
        let records: Vec<Vec<u8>> = sizes
            .iter()
            .enumerate()
            .map(|(n, size)| vec![n as u8; *size])
            .collect();
        let places: Vec<u32> = records
            .iter()
            .map(|record| arena.add(record).unwrap())
            .collect();
        for (place, record) in places.iter().zip(&records) {
            assert!(arena.from(*place).starts_with(record));
        }
        assert_eq!(arena.add(&vec![0; PAGE + 1]), None);
        assert!(arena.from(u32::MAX).is_empty());
        assert!(arena.heap_bytes() >= sizes.iter().sum());
    }
}
