//! libFuzzer's door to `treering_fuzz::codec_extras`; see there for what it asserts.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treering_fuzz::codec_extras(data));
