//! Sessions at a Gimlet server, each between two peers that it introduced.

use std::net::Ipv4Addr;

use gimlet::ServerAddress;
use gimlet_proto::frame::{FrameKind, header};
use gimlet_proto::secret::SessionId;
use quinn::Endpoint;

use super::super::client::{Account, Client, addr, endpoint};
use super::super::flood::{bind_both, introduce};
use super::{Head, Lane};

/// Pairs of peers at most; a thousand sessions are 32 each, which no limit on a peer minds.
const MAX_PAIRS: usize = 32;

/// Signed in as long as this is held.
pub(super) struct Peers {
    _endpoint: Endpoint,
    _pairs: Vec<[Client; 2]>,
}

/// Opens a session for each lane.
pub(super) async fn open(server: &ServerAddress, lanes: &mut [Lane]) -> anyhow::Result<Peers> {
    let endpoint = endpoint(Ipv4Addr::LOCALHOST.into())?;
    let mut pairs = Vec::new();
    for _ in 0..lanes.len().min(MAX_PAIRS) {
        let dialer = Account::new(server)?.sign_in(&endpoint).await?;
        let acceptor = Account::new(server)?.sign_in(&endpoint).await?;
        pairs.push([dialer, acceptor]);
    }
    let at = addr(server)?;
    let count = pairs.len();
    for (index, lane) in lanes.iter_mut().enumerate() {
        let session = SessionId((index as u64 + 1).to_be_bytes());
        let [dialer, acceptor] = &mut pairs[index % count];
        introduce(dialer, acceptor, session).await?;
        bind_both(at, session, [&lane.source, &lane.sink]).await?;
        lane.head = Head::Frame(header(FrameKind::Data, session));
    }
    Ok(Peers {
        _endpoint: endpoint,
        _pairs: pairs,
    })
}
