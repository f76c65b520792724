//! Arena: byte records in pages, named by their place in four bytes.
//!
//! Input: records of at most [`MAX_RECORD`] bytes, and places no longer needed. Output: places.
//! Invariant: a record lies inside one page and moves only when its owner compacts; only the open
//! page grows, so that adding copies at most one page; a page without live records is given back.
//!
//! Compaction is the cleaning of a log-structured store (Rosenblum and Ousterhout, 1992): pages
//! with the most dead bytes are emptied into the open one, as much live as dead bytes allow.

/// Bytes of a full page; larger than any record.
const PAGE: usize = 256 << 10;
/// Longest record.
pub(crate) const MAX_RECORD: usize = PAGE;
/// Most pages, one less than places can name: [`NOWHERE`] is in none.
const MAX_PAGES: usize = (1 << 32) / PAGE - 1;
/// Pages that only compaction may open, so that it works in a full arena.
const RESERVED_PAGES: usize = 32;
/// Dead bytes for which compaction is never worth a look at all places.
const SMALL: usize = 64 << 10;

/// No record's place; the bytes from there are empty.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// Byte records by place.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    pages: Vec<Page>,
    /// Numbers of pages without bytes.
    free: Vec<u32>,
    /// Number of the page that records are added to.
    open: Option<usize>,
    /// Bytes of records, live or dead.
    used: usize,
    /// Bytes of live records.
    live: usize,
    heap: usize,
}

#[derive(Debug, Default)]
struct Page {
    bytes: Vec<u8>,
    /// Bytes of live records.
    live: usize,
}

impl Page {
    fn dead(&self) -> usize {
        self.bytes.len().saturating_sub(self.live)
    }
}

impl Arena {
    /// Adds `record`; `None` when it is too long or four bytes cannot name its place.
    pub(crate) fn add(&mut self, record: &[u8]) -> Option<u32> {
        self.put(record, MAX_PAGES - RESERVED_PAGES)
    }

    fn put(&mut self, record: &[u8], max_pages: usize) -> Option<u32> {
        if record.len() > MAX_RECORD {
            return None;
        }
        let fits = |number: &usize| {
            let page = self.pages.get(*number);
            page.is_some_and(|page| page.bytes.len() + record.len() <= PAGE)
        };
        let number = match self.open.filter(fits) {
            Some(number) => number,
            None => self.open_page(max_pages)?,
        };
        let page = self.pages.get_mut(number)?;
        let bytes = &mut page.bytes;
        let before = bytes.capacity();
        if bytes.len() + record.len() > before {
            let wanted = (before * 2).clamp(64, PAGE).max(bytes.len() + record.len());
            bytes.reserve_exact(wanted - bytes.len());
        }
        self.heap += bytes.capacity() - before;
        let at = number * PAGE + bytes.len();
        bytes.extend_from_slice(record);
        page.live += record.len();
        self.used += record.len();
        self.live += record.len();
        u32::try_from(at).ok()
    }

    fn open_page(&mut self, max_pages: usize) -> Option<usize> {
        if self.pages.len() - self.free.len() >= max_pages {
            return None;
        }
        let number = match self.free.pop() {
            Some(number) => number as usize,
            None => {
                self.pages.push(Page::default());
                self.pages.len() - 1
            }
        };
        self.open = Some(number);
        self.open
    }

    /// The bytes from `at` to the end of the page; empty for a place that was never given.
    #[inline]
    pub(crate) fn from(&self, at: u32) -> &[u8] {
        let at = at as usize;
        self.pages
            .get(at / PAGE)
            .and_then(|page| page.bytes.get(at % PAGE..))
            .unwrap_or_default()
    }

    /// Gives up the record of `len` bytes at `at`, which is live.
    pub(crate) fn remove(&mut self, at: u32, len: usize) {
        let number = at as usize / PAGE;
        let Some(page) = self.pages.get_mut(number).filter(|page| page.live > 0) else {
            return;
        };
        let len = len.min(page.live);
        page.live -= len;
        self.live -= len;
        if page.live > 0 {
            return;
        }
        self.used -= page.bytes.len();
        self.heap -= page.bytes.capacity();
        page.bytes = Vec::new();
        self.free.push(number as u32);
        if self.open == Some(number) {
            self.open = None;
        }
    }

    /// Whether compaction, which looks at `places` places, is due: dead bytes are more than a
    /// quarter of the live ones, and enough to pay for that look.
    pub(crate) fn is_wasteful(&self, places: usize) -> bool {
        self.used - self.live > self.live / 4 + SMALL + places
    }

    /// Moves the records of some of the emptiest pages together and gives the pages back; says
    /// whether that freed bytes. `places` are those of all live records, and any of
    /// [`NOWHERE`]; `len_of` tells the length of the record that bytes begin with.
    pub(crate) fn compact<'a>(
        &mut self,
        places: impl Iterator<Item = &'a mut u32>,
        len_of: impl Fn(&[u8]) -> usize,
    ) -> bool {
        let before = self.used;
        let emptied = self.choose();
        let is_emptied = |at: u32| emptied.get(at as usize / PAGE).copied().unwrap_or(false);
        if self
            .open
            .is_some_and(|open| is_emptied((open * PAGE) as u32))
        {
            self.open = None;
        }
        let mut record = Vec::new();
        for place in places.filter(|place| is_emptied(**place)) {
            let bytes = self.from(*place);
            record.clear();
            record.extend_from_slice(bytes.get(..len_of(bytes)).unwrap_or_default());
            // A page given back on the way may be opened again: its places were all visited.
            if let Some(moved) = self.put(&record, MAX_PAGES) {
                self.remove(*place, record.len());
                *place = moved;
            }
        }
        self.used < before
    }

    /// The pages to empty, by number: at most an eighth of all, but 16, so that no call takes
    /// long. Each holds more than one dead byte for four live ones.
    fn choose(&self) -> Vec<bool> {
        let mut worst: Vec<(usize, usize)> = self
            .pages
            .iter()
            .enumerate()
            .filter(|(_, page)| page.dead() > page.live / 4)
            .map(|(number, page)| (page.dead(), number))
            .collect();
        worst.sort_unstable_by(|a, b| b.cmp(a));
        worst.truncate((self.pages.len() / 8).max(16));
        let mut emptied = vec![false; self.pages.len()];
        for (_, number) in worst {
            if let Some(emptied) = emptied.get_mut(number) {
                *emptied = true;
            }
        }
        emptied
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.heap
            + self.pages.capacity() * size_of::<Page>()
            + self.free.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        assert!(arena.from(NOWHERE).is_empty());
        assert!(arena.heap_bytes() >= sizes.iter().sum());
    }

    /// A record whose first four bytes are its length.
    fn record(len: usize, fill: u8) -> Vec<u8> {
        let mut record = (len as u32).to_le_bytes().to_vec();
        record.resize(len, fill);
        record
    }

    fn len_of(bytes: &[u8]) -> usize {
        u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn what_is_live_survives_compaction_and_what_is_dead_comes_back(
            lens in prop::collection::vec(4usize..30_000, 1..300),
            keep in 1usize..40,
        ) {
            let mut arena = Arena::default();
            let mut places: Vec<u32> = Vec::new();
            for (n, len) in lens.iter().enumerate() {
                places.push(arena.add(&record(*len, n as u8)).unwrap());
            }
            let mut live = 0;
            for (n, place) in places.iter_mut().enumerate() {
                if n % keep == 0 {
                    live += lens[n];
                } else {
                    arena.remove(*place, lens[n]);
                    *place = NOWHERE;
                }
            }
            while arena.is_wasteful(places.len()) {
                prop_assert!(arena.compact(places.iter_mut(), len_of));
            }
            for (n, place) in places.iter().enumerate() {
                if n % keep == 0 {
                    let expected = record(lens[n], n as u8);
                    prop_assert!(arena.from(*place).starts_with(&expected));
                }
            }
            prop_assert_eq!(arena.live, live);
            // Ends of pages too short for the next record are lost.
            let most = (live + live / 4 + SMALL + places.len()) * 9 / 8 + 2 * PAGE;
            prop_assert!(arena.heap_bytes() < most, "{} of {}", arena.heap_bytes(), live);
        }
    }

    #[test]
    fn records_that_come_and_go_stay_in_few_pages() {
        let mut arena = Arena::default();
        let mut places = vec![NOWHERE; 1000];
        for round in 0..200_000usize {
            let slot = round * 7919 % places.len();
            arena.remove(places[slot], 100);
            places[slot] = arena.add(&record(100, 1)).unwrap();
            if arena.is_wasteful(places.len()) {
                arena.compact(places.iter_mut(), len_of);
            }
            assert!(arena.heap_bytes() < 3 * PAGE);
        }
    }
}
