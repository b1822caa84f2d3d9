//! See [`gimlet_fuzz::CONTROL_TO_SERVER`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (gimlet_fuzz::CONTROL_TO_SERVER.run)(data));
