//! Many endpoints in one process, each with a peer in another: what an idle one keeps in memory.

use anyhow::ensure;
use gimlet::{Connection, Endpoint, Identity};

use super::{ALPN, peer};

/// The endpoints of one process.
pub(super) struct Crowd {
    server: String,
    endpoints: Vec<Endpoint>,
    connections: Vec<Connection>,
}

impl Crowd {
    /// Nobody yet.
    pub(super) fn new(server: String) -> Self {
        Self {
            server,
            endpoints: Vec::new(),
            connections: Vec::new(),
        }
    }

    /// Signs endpoints in, one after the other, and gives their ids.
    pub(super) async fn gather(&mut self, count: usize) -> anyhow::Result<Vec<String>> {
        for _ in 0..count {
            let endpoint = peer::builder(&self.server, Identity::generate())?
                .alpns(vec![ALPN.to_vec()])
                .bind()
                .await?;
            endpoint.online().await?;
            endpoint.net_report().await;
            let accepting = endpoint.clone();
            tokio::spawn(async move {
                while let Some(connection) = accepting.accept().await {
                    // Held until its end.
                    tokio::spawn(async move { connection.closed().await });
                }
            });
            self.endpoints.push(endpoint);
        }
        let ids = self.endpoints.iter().map(|e| e.peer_id().to_string());
        Ok(ids.collect())
    }

    /// Connects every endpoint to its peer, directly.
    pub(super) async fn pair(&mut self, peers: &[String]) -> anyhow::Result<()> {
        for (endpoint, peer) in self.endpoints.iter().zip(peers) {
            let connection = endpoint.connect(peer.parse()?, ALPN).await?;
            let path = connection.settled().await;
            ensure!(path.is_direct(), "a pair is not direct: {path}");
            self.connections.push(connection);
        }
        Ok(())
    }
}
