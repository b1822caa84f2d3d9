//! See [`gimlet_fuzz::NAMES`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (gimlet_fuzz::NAMES.run)(data));
