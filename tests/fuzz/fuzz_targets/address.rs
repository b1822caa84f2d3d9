//! See [`gimlet_fuzz::ADDRESS`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (gimlet_fuzz::ADDRESS.run)(data));
