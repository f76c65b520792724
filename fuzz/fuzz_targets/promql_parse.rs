//! libFuzzer's door to `treering_fuzz::promql_parse`; see there for what it asserts.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treering_fuzz::promql_parse(data));
