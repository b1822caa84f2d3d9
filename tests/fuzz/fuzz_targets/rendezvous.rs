//! See [`gimlet_fuzz::RENDEZVOUS`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (gimlet_fuzz::RENDEZVOUS.run)(data));
