//! quinn settings shared by both ends.

use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::{CryptoError, HmacKey};
use quinn::{AckFrequencyConfig, EndpointConfig, MtuDiscoveryConfig, TransportConfig};
use quinn_proto::HashedConnectionIdGenerator;

use crate::congestion::{DiscerningConfig, PathEpoch, RestartingFactory};
use crate::window::{INITIAL_WINDOW, MAX_WINDOW};

/// Largest QUIC datagram between peers: with a relay header, UDP and IPv6 it fills 1,490 bytes, so
/// every path of ours over a 1,500-byte link carries it and a change of path needs no smaller one.
pub const MAX_PEER_MTU: u16 = 1432;

/// Datagrams longer than this are worth a connection of their own: jumbo frames, and one's own host.
pub const LARGE_DATAGRAM: u16 = 4096;

/// Longest datagram that any peer may send: what IPv4 takes.
pub const LONGEST_DATAGRAM: u16 = 65_507;

/// Datagrams before any longer ones have got through: what QUIC asks of every path (RFC 9000 section 14).
const INITIAL_MTU: u16 = 1200;

/// First guess of the round trip, until one is measured. A lost first flight is repeated after three
/// of these; quinn's 333 ms would cost a second there.
const INITIAL_RTT: Duration = Duration::from_millis(100);

/// Silence after which a connection between peers is over. A host that slept for a minute finds its
/// connections as they were; a peer that crashed is missed only after this long.
const PEER_IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Keeps an idle connection open, many times in the idle timeout: what is lost is repeated in time.
const PEER_KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Stream data that may be under way on one stream, bytes: a thousand packets, quinn's default. quinn
/// closes a connection with 1,024 holes in what came of a stream; a window of so many packets can't
/// have as many. Faster than a window a round trip is bulk data over several streams.
pub const STREAM_RECEIVE_WINDOW: u32 = 1_250_000;

/// Gap between keep-alives of a control session. NAT mappings would stand 15 s; this makes a server that
/// was restarted known (by its stateless reset) soon enough for its peers to be back within 5 s: half a
/// second is left for three round trips. More often would only cost servers with many peers.
const CONTROL_KEEP_ALIVE: Duration = Duration::from_millis(4400);

/// Silence after which a peer takes its server for gone: two keep-alives and their repeats.
const CONTROL_IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Packets by which a later one may be acknowledged before an earlier one counts as lost. RFC 9002's
/// three would call everything lost that a faster path overtakes; so time decides alone, as in RACK
/// (RFC 8985), which finds real losses half a round trip later.
const PACKET_THRESHOLD: u32 = 10_000;

/// Round trips after which a packet that a later one has overtaken counts as lost. quinn neither tells of a packet
/// that comes after it was given up nor lets this grow by it, as RACK's window does (RFC 8985 section 6.2), so it is
/// what jitter needs from the start: with a fifth of a round trip, packets up to half of one late leave
/// a sixtieth of the rate, with half of one a half. With a whole one, real losses are found that much later.
const TIME_THRESHOLD: f32 = 1.5;

/// Endpoint settings for a port that QUIC shares with STUN and relay frames.
///
/// `reset_key` makes stateless resets recognisable after a restart; derive it from the identity.
pub fn endpoint_config(reset_key: &[u8; 32]) -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(ResetKey(*reset_key)));
    // RFC 9443: only with the fixed bit set can QUIC be told from the rest by its first byte.
    config.grease_quic_bit(false);
    let key = *reset_key;
    config.cid_generator(move || Box::new(connection_ids(&key)));
    config
}

/// The same for an endpoint of peers, which takes datagrams as long as the system can hand them over.
pub fn peer_endpoint_config(reset_key: &[u8; 32]) -> EndpointConfig {
    let mut config = endpoint_config(reset_key);
    config
        .max_udp_payload_size(LONGEST_DATAGRAM)
        .expect("it is more than 1,200");
    config
}

/// Connection ids that are known again after a restart. quinn's default draws a new key at every start and
/// then drops packets of before as garbage, where it should answer them with a stateless reset.
pub fn connection_ids(reset_key: &[u8; 32]) -> HashedConnectionIdGenerator {
    let key = blake3::derive_key("gimlet 2026 connection id key", reset_key);
    let key = u64::from_be_bytes(*key.first_chunk().expect("a key has 32 bytes"));
    HashedConnectionIdGenerator::from_key(key)
}

/// Settings of a connection between peers. `epoch` restarts congestion control on a path change.
pub fn peer_transport(epoch: Arc<PathEpoch>) -> TransportConfig {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(MAX_PEER_MTU);
    peer_transport_with(mtu, 0, epoch)
}

/// Settings of a connection whose datagrams may be as long as `datagram`, which its path is said to carry.
/// It begins as any other and tries that one size: nothing between is worth a round trip, and none has to
/// be lost to find it.
pub fn large_peer_transport(epoch: Arc<PathEpoch>, datagram: u16) -> TransportConfig {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(datagram)
        .minimum_change(datagram.saturating_sub(INITIAL_MTU));
    peer_transport_with(mtu, datagram, epoch)
}

fn peer_transport_with(
    mtu: MtuDiscoveryConfig,
    probe: u16,
    epoch: Arc<PathEpoch>,
) -> TransportConfig {
    let controllers = RestartingFactory::new(Arc::new(DiscerningConfig), epoch).with_probe(probe);
    let mut config = TransportConfig::default();
    config
        .mtu_discovery_config(Some(mtu))
        .initial_rtt(INITIAL_RTT)
        .max_idle_timeout(Some(
            PEER_IDLE_TIMEOUT
                .try_into()
                .expect("120 s is a valid timeout"),
        ))
        .keep_alive_interval(Some(PEER_KEEP_ALIVE))
        .stream_receive_window(STREAM_RECEIVE_WINDOW.into())
        .receive_window(INITIAL_WINDOW.into())
        // As much as the peer's window may become.
        .send_window(MAX_WINDOW.into())
        .packet_threshold(PACKET_THRESHOLD)
        .time_threshold(TIME_THRESHOLD)
        .congestion_controller_factory(Arc::new(controllers));
    config
}

/// Window of a control session's either end, bytes: twice the longest record. More that is unread would
/// only cost memory.
pub const CONTROL_WINDOW: u32 = 128 * 1024;

/// Settings of a peer's end of its control session.
pub fn control_transport() -> TransportConfig {
    let timeout = CONTROL_IDLE_TIMEOUT
        .try_into()
        .expect("10 s is a valid timeout");
    // A keep-alive is answered in the turn that reads it. By default the server would set a timer for
    // each and come back to the connection 25 ms later, when others have taken its place in the caches.
    let mut acknowledgements = AckFrequencyConfig::default();
    acknowledgements.ack_eliciting_threshold(0u8.into());
    let mut config = TransportConfig::default();
    config
        .ack_frequency_config(Some(acknowledgements))
        .initial_rtt(INITIAL_RTT)
        .max_idle_timeout(Some(timeout))
        .keep_alive_interval(Some(CONTROL_KEEP_ALIVE))
        .max_concurrent_bidi_streams(0u8.into())
        .max_concurrent_uni_streams(0u8.into())
        .receive_window(CONTROL_WINDOW.into())
        .datagram_receive_buffer_size(None);
    config
}

/// Signs stateless reset tokens (RFC 9000 section 10.3) with keyed BLAKE3.
struct ResetKey([u8; 32]);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(blake3::keyed_hash(&self.0, data).as_bytes());
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let signature: [u8; blake3::OUT_LEN] = signature.try_into().map_err(|_| CryptoError)?;
        // Comparing two `Hash`es takes constant time.
        match blake3::keyed_hash(&self.0, data) == blake3::Hash::from_bytes(signature) {
            true => Ok(()),
            false => Err(CryptoError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reset_tokens_are_the_same_after_a_restart_and_differ_by_key() {
        let sign = |key: u8| {
            let mut out = [0; blake3::OUT_LEN];
            ResetKey([key; 32]).sign(b"connection id", &mut out);
            out
        };
        assert_eq!(sign(1), sign(1));
        assert_ne!(sign(1), sign(2));
        assert!(ResetKey([1; 32]).verify(b"connection id", &sign(1)).is_ok());
        assert!(
            ResetKey([1; 32])
                .verify(b"connection id", &sign(2))
                .is_err()
        );
    }
}
