//! See [`gimlet_fuzz::STUN_CHECK`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (gimlet_fuzz::STUN_CHECK.run)(data));
