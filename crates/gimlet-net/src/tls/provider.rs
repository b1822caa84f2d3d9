//! Who does the cryptography.
//!
//! aws-lc does all of it but for AES-GCM on some processors. Those that have AES for vectors of 256 bits and not of 512
//! (AMD's Zen 3, Intel's desktops since 2021) are left by aws-lc with AES for one block at a time; ring uses what they
//! have, and takes 0.63 of the time for a packet and half for a TLS record. The bytes are the same.

use rustls::CipherSuite;
use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// For everything of ours.
pub(super) fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if has_vectors_of_256_bits_only() {
        use_rings_aes(&mut provider);
    }
    provider
}

/// The same with AES-128 first, which takes a sixth less time than AES-256: what is in a tunnel is
/// encrypted once more between the peers, and every byte passes four times.
pub(super) fn light(provider: &CryptoProvider) -> CryptoProvider {
    let mut provider = provider.clone();
    let first = CipherSuite::TLS13_AES_128_GCM_SHA256;
    let suites = &mut provider.cipher_suites;
    suites.sort_by_key(|suite| suite.suite() != first);
    provider
}

#[cfg(target_arch = "x86_64")]
fn has_vectors_of_256_bits_only() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx2") && has!("vaes") && has!("vpclmulqdq") && !has!("avx512f")
}

#[cfg(target_arch = "x86_64")]
fn use_rings_aes(provider: &mut CryptoProvider) {
    use rustls::crypto::ring::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384};
    for suite in &mut provider.cipher_suites {
        for rings in [TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384] {
            if suite.suite() == rings.suite() {
                *suite = rings;
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn has_vectors_of_256_bits_only() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn use_rings_aes(_: &mut CryptoProvider) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites(provider: &CryptoProvider) -> Vec<CipherSuite> {
        let suites = provider.cipher_suites.iter();
        suites.map(|suite| suite.suite()).collect()
    }

    #[test]
    fn the_same_is_offered_whoever_encrypts() {
        let (all, mut rings) = (aws_lc_rs::default_provider(), aws_lc_rs::default_provider());
        use_rings_aes(&mut rings);
        assert_eq!(suites(&rings), suites(&all));
        assert_eq!(suites(&provider()), suites(&all));
    }

    #[test]
    fn a_tunnel_offers_the_same_with_aes_128_first() {
        let all = provider();
        let light = suites(&light(&all));
        assert_eq!(light[0], CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(light.len(), all.cipher_suites.len());
    }
}
