//! See [`gimlet_fuzz::FRAMES`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (gimlet_fuzz::FRAMES.run)(data));
