//! See [`gimlet_fuzz::CONTROL_TO_PEER`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (gimlet_fuzz::CONTROL_TO_PEER.run)(data));
