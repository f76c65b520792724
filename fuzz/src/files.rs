//! A small committed database, file by file, and how its checksums are made.
//!
//! Input: the folder `fuzz/base/`. Output: its files, whole or changed and with right checksums
//! again, so that a target reaches what lies behind them. The layouts are those of docs/format/.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use treering::vfs::{MemVfs, Vfs};
use treering_codec::{crc32, crc32_parts};

/// Bytes of a block's page, of its header and of its footer.
const PAGE: usize = 32 << 10;
const BLOCK_HEADER: usize = 36;
const FOOTER: usize = 176;
/// Bytes of a WAL file's header and of a frame's.
const WAL_HEADER: usize = 64;
const FRAME: usize = 32;
/// Bytes of a manifest's header.
const MANIFEST_HEADER: usize = 32;

/// The database of `fuzz/base/`: one block, one WAL file with frames, one manifest.
#[derive(Debug)]
pub struct Base {
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Base {
    /// The committed one, read once.
    pub fn get() -> &'static Base {
        static BASE: OnceLock<Base> = OnceLock::new();
        BASE.get_or_init(|| {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("base");
            let mut files = Vec::new();
            for folder in ["", "blocks", "wal"] {
                for entry in std::fs::read_dir(root.join(folder)).expect("fuzz/base is there") {
                    let path = entry.expect("fuzz/base is readable").path();
                    if path.is_file() {
                        let bytes = std::fs::read(&path).expect("fuzz/base is readable");
                        let name = path.strip_prefix(&root).expect("below it").to_path_buf();
                        files.push((name, bytes));
                    }
                }
            }
            files.sort();
            Base { files }
        })
    }

    /// The last file whose path begins so.
    pub fn file(&self, start: &str) -> &[u8] {
        let found = self.files.iter().rfind(|(path, _)| path.starts_with(start));
        &found.expect("a file of the base").1
    }

    /// A store with the database in `/db`, the last file whose path begins so replaced.
    pub fn with(&self, start: &str, bytes: &[u8]) -> Arc<dyn Vfs> {
        let store = MemVfs::new();
        let root = Path::new("/db");
        let replaced = self
            .files
            .iter()
            .rposition(|(path, _)| path.starts_with(start));
        for folder in ["", "blocks", "wal"] {
            store
                .create_dir(&root.join(folder))
                .expect("a store in memory");
        }
        for (index, (path, original)) in self.files.iter().enumerate() {
            let bytes = if Some(index) == replaced {
                bytes
            } else {
                original
            };
            let file = store.create(&root.join(path)).expect("a store in memory");
            file.write_all_at(bytes, 0).expect("a store in memory");
        }
        Arc::new(store)
    }

    /// The WAL file with frames of these kinds and payloads in place of its own.
    pub fn wal(&self, frames: &[(u8, &[u8])]) -> Vec<u8> {
        let mut file = self.file("wal")[..WAL_HEADER].to_vec();
        let field = |at: usize| word(&file, at);
        let (database, number) = (field(16), field(24));
        let (position, mut sequence) = (field(40), field(48));
        let seed = crc32_parts(0, &[b"wal", &database.to_le_bytes(), &number.to_le_bytes()]);
        for (kind, payload) in frames {
            let mut frame = [0u8; FRAME];
            frame[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
            frame[8] = *kind;
            frame[16..24].copy_from_slice(&sequence.to_le_bytes());
            frame[24..32].copy_from_slice(&position.to_le_bytes());
            let mut padded = payload.to_vec();
            padded.resize(payload.len().next_multiple_of(8), 0);
            let crc = crc32_parts(0, &[&padded, &seed.to_le_bytes(), &frame[4..]]);
            frame[..4].copy_from_slice(&crc.to_le_bytes());
            file.extend(frame);
            file.extend(padded);
            sequence += 1;
        }
        file
    }

    /// The manifest with one record of this payload behind its own.
    pub fn manifest(&self, payload: &[u8]) -> Vec<u8> {
        let mut file = self.file("manifest").to_vec();
        let database = word(&file, 16).to_le_bytes();
        let (mut at, mut number) = (MANIFEST_HEADER, 0u64);
        while at < file.len() {
            at += 16 + word(&file, at + 4) as u32 as usize;
            number += 1;
        }
        let head = [
            &(payload.len() as u32).to_le_bytes()[..],
            &number.to_le_bytes(),
        ]
        .concat();
        let crc = crc32_parts(0, &[b"manifest", &database, &head, payload]);
        file.extend(crc.to_le_bytes());
        file.extend(head);
        file.extend(payload);
        file
    }

    /// The block, patched as by [`patch_block`].
    pub fn block(&self, patches: &[u8]) -> Vec<u8> {
        patch_block(self.file("blocks"), patches)
    }
}

/// A block with bytes exchanged and every checksum right again. A patch is two bytes of offset and
/// the byte to put there, wrapping around the file.
pub fn patch_block(block: &[u8], patches: &[u8]) -> Vec<u8> {
    let mut file = block.to_vec();
    let len = file.len();
    for patch in patches.as_chunks::<3>().0 {
        let offset = usize::from(u16::from_le_bytes([patch[0], patch[1]])) % len;
        file[offset] = patch[2];
    }
    seal_block(&mut file);
    file
}

/// Makes all checksums of a block right, as far as its lengths allow to find them.
fn seal_block(file: &mut [u8]) {
    let header = crc32(0, &file[..BLOCK_HEADER - 4]);
    file[BLOCK_HEADER - 4..BLOCK_HEADER].copy_from_slice(&header.to_le_bytes());
    let footer = file.len() - FOOTER;
    let ids = [&file[24..32], &file[16..24]].concat();
    let seed = crc32(0, &ids);
    // Values, columns, column table, directory, group table, index, page table.
    let lengths: Vec<u64> = (0..7)
        .map(|section| word(file, footer + 8 * section))
        .collect();
    let paged = lengths[..5]
        .iter()
        .fold(BLOCK_HEADER as u64, |sum, len| sum.saturating_add(*len));
    let index_end = paged.saturating_add(lengths[5]);
    if index_end <= footer as u64 {
        let (paged, index_end) = (paged as usize, index_end as usize);
        let pages: Vec<u32> = (0u64..)
            .zip(file[..paged].chunks(PAGE))
            .map(|(number, page)| crc32_parts(seed, &[&number.to_le_bytes(), page]))
            .collect();
        let room = &mut file[index_end..footer];
        for (crc, place) in pages.iter().zip(room.as_chunks_mut::<4>().0) {
            *place = crc.to_le_bytes();
        }
        let index_crc = crc32(seed, &file[paged..index_end]);
        let table_crc = crc32(seed, &file[index_end..footer]);
        file[footer + 56..footer + 60].copy_from_slice(&index_crc.to_le_bytes());
        file[footer + 60..footer + 64].copy_from_slice(&table_crc.to_le_bytes());
    }
    let end = file.len() - 12;
    let crc = crc32(seed, &file[footer..end]);
    file[end..end + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Eight bytes at an offset as a number; zeros beyond the end.
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0u8; 8];
    let rest = bytes.get(at..).unwrap_or_default();
    let len = rest.len().min(8);
    word[..len].copy_from_slice(&rest[..len]);
    u64::from_le_bytes(word)
}
