//! Doors for fuzzing and format tests (feature `testing`): the decoders of single files, on any
//! bytes, and the bytes of small files with right checksums around a payload.
//!
//! Input: bytes. Output: how much was read, or the error that an open would give. Not part of the
//! stable interface.

mod change;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use treering_codec::Extras;
use treering_index::Labels;

use crate::block::{Block, BlockMeta, BlockWriter, Part};
use crate::compact::step::Stepper;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::manifest::format::{BlockEntry, Edit, encode_header, encode_record};
use crate::options::Reads;
use crate::vfs::{MemVfs, Vfs};
use crate::wal::change::Change;
use crate::wal::format::{FileHeader, FrameHeader, FrameKind};
use crate::wal::payload::{BatchPayload, Definition, IdRun, put_definitions, put_samples};
use crate::wal::{WalReader, file_path};

pub use change::{WalChange, manifest_record_of, read_wal_changes, rewrite_manifest_record};

/// The database that the files made and read here belong to.
pub const DATABASE: u64 = 0x7265_6574;

/// Reads `payload` as that of a batch frame; how many samples it holds.
pub fn read_wal_payload(payload: &[u8]) -> Result<usize> {
    let read = BatchPayload::decode(payload);
    read.map(|batch| batch.values.len())
        .map_err(|error| Error::codec(Path::new("wal"), 0, error))
}

/// Reads `files` as the WAL files 1, 2, ... of a database: how many frames, and how many bytes a
/// recovery would cut.
pub fn read_wal_files(files: &[&[u8]]) -> Result<(u64, u64)> {
    let (vfs, dir) = store();
    for (number, bytes) in (1..).zip(files) {
        put(&*vfs, &file_path(&dir, number), bytes)?;
    }
    let mut reader = WalReader::open(vfs, dir, DATABASE, 1)?;
    let mut frames = 0;
    while let Some(frame) = reader.next()? {
        // Any payload is read or refused; what it holds does not matter here.
        let _ = BatchPayload::decode(frame.payload);
        let _ = Change::decode(frame.kind, frame.payload);
        frames += 1;
    }
    Ok((frames, reader.cut().map_or(0, |cut| cut.bytes)))
}

/// A WAL file with a batch frame around each payload, all checksums right.
pub fn wal_file_of(payloads: &[&[u8]]) -> Vec<u8> {
    let frames = payloads
        .iter()
        .map(|payload| (FrameKind::Batch as u8, *payload));
    wal_file_of_frames(&frames.collect::<Vec<_>>())
}

/// A WAL file with a frame of the given kind around each payload, all checksums right.
pub fn wal_file_of_frames(frames: &[(u8, &[u8])]) -> Vec<u8> {
    let header = FileHeader {
        database: DATABASE,
        number: 1,
        generation: 1,
        position: 0,
        first_sequence: 1,
    };
    let seed = FileHeader::seed(DATABASE, 1);
    let mut out = header.encode().to_vec();
    for (sequence, (kind, payload)) in (1..).zip(frames) {
        let frame = FrameHeader {
            len: payload.len() as u32,
            kind: *kind,
            flags: [0; 7],
            sequence,
            synced: out.len() as u64,
        };
        let mut padded = payload.to_vec();
        padded.resize(
            frame.stride() as usize - crate::wal::format::FRAME_HEADER_BYTES,
            0,
        );
        out.extend(frame.seal(seed, treering_codec::crc32(0, &padded)));
        out.extend(padded);
    }
    out
}

/// The payload of a batch with `series` (ids count up from 0, defined by their canonical labels)
/// and one row of `values` at `timestamp`.
pub fn wal_payload_of(series: &[&[u8]], timestamp: i64, values: &[f64]) -> Vec<u8> {
    let mut out = Vec::new();
    let define = |(id, labels): (usize, &&'_ [u8])| (id as u32, labels.to_vec());
    let owned: Vec<(u32, Vec<u8>)> = series.iter().enumerate().map(define).collect();
    let definitions = owned
        .iter()
        .map(|(id, labels)| Definition { id: *id, labels });
    put_definitions(&mut out, 0, definitions);
    let runs = [IdRun {
        first: 0,
        ids: values.len() as u32,
        len: 1,
    }];
    let times = vec![timestamp; values.len()];
    put_samples(&mut out, &runs, (&times, values), &Extras::new());
    out
}

/// Reads `bytes` as a manifest: how many live blocks it lists, and how many bytes were cut.
pub fn read_manifest(bytes: &[u8]) -> Result<(usize, u64)> {
    let (vfs, dir) = store();
    put(&*vfs, &dir.join(crate::manifest::NAME), bytes)?;
    let read = Manifest::open(vfs, &dir)?;
    Ok(read.map_or((0, 0), |(manifest, cut)| {
        (manifest.state().blocks.len(), cut)
    }))
}

/// A manifest with one record for each block: times of its first and last sample, and its last
/// sequence.
pub fn manifest_of(blocks: &[(i64, i64, u64)]) -> Vec<u8> {
    let mut out = encode_header(DATABASE).to_vec();
    for (number, &(min_time, max_time, max_sequence)) in (0..).zip(blocks) {
        let id = number + 1;
        let entry = BlockEntry {
            id,
            namespace: 0,
            level: 0,
            min_time,
            max_time,
            min_sequence: 1,
            max_sequence,
            bytes: 4096,
            purged: max_sequence,
            step: 0,
        };
        let edit = Edit {
            next_block: id + 1,
            flushed_through: max_sequence,
            wal_floor: id,
            add: vec![entry],
            ..Edit::default()
        };
        out.extend(encode_record(DATABASE, number, &edit));
    }
    out
}

/// Reads `bytes` as a block, everything in it, both ways: how many samples it holds.
pub fn read_block(bytes: &[u8]) -> Result<u64> {
    let (vfs, dir) = store();
    let path = dir.join("1.block");
    put(&*vfs, &path, bytes)?;
    let mut samples = 0;
    for reads in [Reads::Mmap, Reads::Pread] {
        let block = Block::open(&vfs, &path, reads)?;
        block.verify()?;
        samples = block.info().samples;
        let (mut chunks, mut timestamps, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for ordinal in block.select(&[])?.iter() {
            chunks.clear();
            block.chunks(ordinal, i64::MIN, i64::MAX, &mut chunks)?;
            for chunk in &chunks {
                timestamps.clear();
                values.clear();
                block.decode(chunk, &mut timestamps, &mut values)?;
                block.summaries(chunk)?;
            }
        }
    }
    Ok(samples)
}

/// A stepped block of this database with one series: its rows stand for `values`, one per second
/// from the epoch on, sixty to a step.
pub fn stepped_block_of(labels: &Labels, values: &[f64]) -> Result<Vec<u8>> {
    let (vfs, dir) = store();
    let path = dir.join("1.block");
    let meta = BlockMeta {
        id: 1,
        namespace: 0,
        min_sequence: 1,
        max_sequence: 1,
        level: 1,
        database: DATABASE,
        step: 60,
        extended: false,
    };
    let mut stepper = Stepper::new(meta.step_nanos());
    let times: Vec<i64> = (1..)
        .map(|at: i64| at * 1_000_000_000)
        .take(values.len())
        .collect();
    stepper.push(&times, values);
    stepper.close();
    let mut writer = BlockWriter::create(&vfs, &path, meta)?;
    writer.begin_series(labels)?;
    let rows = &stepper.rows;
    writer.push(&Part::of(&rows.timestamps, &rows.values, &rows.stats))?;
    writer.end_series()?;
    writer.finish()?;
    vfs.read(&path, u64::MAX)
        .map_err(|error| Error::io("read", &path, error))
}

fn store() -> (Arc<dyn Vfs>, PathBuf) {
    let (vfs, dir) = (MemVfs::new(), PathBuf::from("/db"));
    // A store in memory has no reason to refuse; if it did, the read that follows would say so.
    let _ = vfs.create_dir(&dir);
    (Arc::new(vfs), dir)
}

fn put(vfs: &dyn Vfs, path: &Path, bytes: &[u8]) -> Result<()> {
    let written = vfs
        .create(path)
        .and_then(|file| file.write_all_at(bytes, 0));
    written.map_err(|error| Error::io("write", path, error))
}
