//! libFuzzer's door to `treering_fuzz::wal_frames`; see there for what it asserts.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treering_fuzz::wal_frames(data));
