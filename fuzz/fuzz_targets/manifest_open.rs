//! libFuzzer's door to `treering_fuzz::manifest_open`; see there for what it asserts.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treering_fuzz::manifest_open(data));
