//! libFuzzer's door to `treering_fuzz::prometheus_chunk`; see there for what it asserts.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treering_fuzz::prometheus_chunk(data));
