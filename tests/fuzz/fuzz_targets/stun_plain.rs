//! See [`gimlet_fuzz::STUN_PLAIN`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (gimlet_fuzz::STUN_PLAIN.run)(data));
