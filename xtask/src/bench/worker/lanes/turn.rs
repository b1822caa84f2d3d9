//! Allocations at a TURN server (RFC 8656), each with a channel to a sink.
//!
//! What goes in is ChannelData, what comes out is bare: one allocation a session, which is the least
//! that a TURN server can be asked for.

use std::io::IoSliceMut;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use quinn::AsyncUdpSocket;
use quinn::udp::{RecvMeta, Transmit};
use tokio::time::timeout;

use super::super::batch;
use super::{Head, Lane};

const COOKIE: u32 = 0x2112_a442;
const ALLOCATE: u16 = 0x0003;
const CHANNEL_BIND: u16 = 0x0009;
/// Set in the type of an answer that says yes.
const SUCCESS: u16 = 0x0100;
const LIFETIME: u16 = 0x000d;
const CHANNEL_NUMBER: u16 = 0x000c;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const REQUESTED_TRANSPORT: u16 = 0x0019;

/// The first of the channel numbers; every allocation has its own.
const CHANNEL: u16 = 0x4000;

/// Requests repeated at most, and how long each may take to be answered.
const TRIES: usize = 10;
const PATIENCE: Duration = Duration::from_millis(500);

/// Allocates for each lane, and opens a channel to its sink.
pub(super) async fn open(server: SocketAddr, lanes: &mut [Lane]) -> anyhow::Result<()> {
    for (index, lane) in lanes.iter_mut().enumerate() {
        let SocketAddr::V4(sink) = lane.sink.local_addr()? else {
            bail!("sinks are IPv4");
        };
        let id = (index as u64).to_be_bytes();
        let allocate = request(
            ALLOCATE,
            id,
            &[
                (REQUESTED_TRANSPORT, vec![17, 0, 0, 0]),
                (LIFETIME, 3600u32.to_be_bytes().to_vec()),
            ],
        );
        ask(&lane.source, server, &allocate).await?;
        let number = [CHANNEL.to_be_bytes(), [0, 0]].concat();
        let bind = request(
            CHANNEL_BIND,
            id,
            &[(CHANNEL_NUMBER, number), (XOR_PEER_ADDRESS, xored(sink))],
        );
        ask(&lane.source, server, &bind).await?;
        lane.head = Head::Channel(CHANNEL);
    }
    Ok(())
}

fn request(kind: u16, id: [u8; 8], attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (attribute, value) in attributes {
        body.extend(attribute.to_be_bytes());
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(value);
    }
    let mut message = kind.to_be_bytes().to_vec();
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(COOKIE.to_be_bytes());
    message.extend([0, 0]);
    message.extend(kind.to_be_bytes());
    message.extend(id);
    message.extend(body);
    message
}

fn xored(address: SocketAddrV4) -> Vec<u8> {
    let port = address.port() ^ (COOKIE >> 16) as u16;
    let ip = u32::from(*address.ip()) ^ COOKIE;
    let mut value = vec![0, 1];
    value.extend(port.to_be_bytes());
    value.extend(ip.to_be_bytes());
    value
}

async fn ask(
    socket: &Arc<dyn AsyncUdpSocket>,
    server: SocketAddr,
    request: &[u8],
) -> anyhow::Result<()> {
    let kind = u16::from_be_bytes([request[0], request[1]]);
    let mut buffer = vec![0; 1 << 16];
    let mut poller = socket.clone().create_io_poller();
    for _ in 0..TRIES {
        let transmit = Transmit {
            destination: server,
            ecn: None,
            contents: request,
            segment_size: None,
            src_ip: None,
        };
        batch::send(&**socket, &mut poller, &transmit).await?;
        let mut meta = [RecvMeta::default()];
        let received = std::future::poll_fn(|cx| {
            socket.poll_recv(cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta)
        });
        let Ok(received) = timeout(PATIENCE, received).await else {
            continue;
        };
        received?;
        let answer = buffer[..meta[0].len].first_chunk::<20>();
        let answer = answer.context("the TURN server's answer is too short")?;
        // Of the request before, which was repeated.
        if answer[8..] != request[8..20] {
            continue;
        }
        let said = u16::from_be_bytes([answer[0], answer[1]]);
        ensure!(
            said == kind | SUCCESS,
            "the TURN server answers {kind:#06x} with {said:#06x}"
        );
        return Ok(());
    }
    bail!("the TURN server does not answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_bind_is_laid_out_as_the_standard_says() {
        let sink = "127.0.0.1:8000".parse().unwrap();
        let bind = request(CHANNEL_BIND, [7; 8], &[(XOR_PEER_ADDRESS, xored(sink))]);
        assert_eq!(bind[..8], [0, 9, 0, 12, 0x21, 0x12, 0xa4, 0x42]);
        assert_eq!(bind[20..24], [0, 0x12, 0, 8]);
        let port = 8000u16 ^ 0x2112;
        assert_eq!(bind[24..28], [&[0, 1][..], &port.to_be_bytes()].concat());
        assert_eq!(bind[28..], [127 ^ 0x21, 0x12, 0xa4, 1 ^ 0x42]);
    }
}
