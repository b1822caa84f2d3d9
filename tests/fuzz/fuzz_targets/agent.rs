//! See [`gimlet_fuzz::AGENT`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (gimlet_fuzz::AGENT.run)(data));
