//! Our side: a publisher, and subscriptions in twenty hosts.

use std::sync::Arc;

use anyhow::{Context, bail};
use gimlet::{AcceptPolicy, Connection, Endpoint, Identity, PeerId, ServerAddress};
use gimlet_apps::Router;
use gimlet_apps::topic::{self, Config, Start, Subscription, Topic, Update};
use tokio::task::{JoinHandle, JoinSet};

use super::SUBSCRIBERS;
use super::tally::Tally;

/// Hosts that share the subscribers.
const HOSTS: usize = 20;

/// The publisher's key: its subscribers know it without being told.
const PUBLISHER: [u8; 32] = [3; 32];

/// The topic that everybody follows.
const TOPIC: &str = "news";

pub(super) struct Publisher {
    publisher: topic::Publisher,
    topic: Topic,
    serving: JoinHandle<()>,
}

impl Publisher {
    pub(super) async fn start(server: &str) -> anyhow::Result<Self> {
        let publisher = topic::Publisher::start(Config::default()).await?;
        // Each subscriber has a connection.
        let router = Router::new()
            .limit(2 * SUBSCRIBERS)
            .on(topic::ALPN, publisher.handler());
        let endpoint = Endpoint::builder()
            .identity(Identity::from_seed(&PUBLISHER))
            .server(server.parse()?)
            .port_mapping(false)
            .accept(AcceptPolicy::All)
            .alpns(router.alpns())
            .bind()
            .await?;
        endpoint.online().await?;
        // What a peer that has been online for a second knows; so below.
        endpoint.net_report().await;
        let serving = tokio::spawn(async move { router.serve(&endpoint).await });
        Ok(Self {
            publisher,
            topic: TOPIC.parse()?,
            serving,
        })
    }

    pub(super) async fn publish(&self, message: Vec<u8>) {
        // What is not published is missed at the other end.
        let _ = self.publisher.publish(&self.topic, message).await;
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Subscribes, and waits until the publisher has answered everybody.
pub(super) async fn subscribe(server: &str, tally: &Arc<Tally>) -> anyhow::Result<JoinSet<()>> {
    let server: ServerAddress = server.parse()?;
    let publisher = Identity::from_seed(&PUBLISHER).peer_id();
    let topic: Topic = TOPIC.parse()?;
    let mut coming = JoinSet::new();
    for nth in 1..=HOSTS {
        let host = host(server.clone(), publisher);
        coming.spawn(async move { host.await.with_context(|| format!("host {nth}")) });
    }
    let mut hosts = Vec::new();
    while let Some(host) = coming.join_next().await {
        hosts.push(host??);
    }
    let mut placing = JoinSet::new();
    for (endpoint, _) in &hosts {
        for _ in 0..SUBSCRIBERS / HOSTS {
            let topic = topic.clone();
            let subscription = Subscription::start(endpoint, publisher, topic, Start::New);
            placing.spawn(placed(subscription));
        }
    }
    let mut following = JoinSet::new();
    while let Some(placed) = placing.join_next().await {
        let subscription = placed?.context("a subscription has ended")?;
        following.spawn(follow(subscription, tally.clone()));
    }
    Ok(following)
}

/// A host whose first connection has found the direct path for all that follow.
async fn host(server: ServerAddress, publisher: PeerId) -> anyhow::Result<(Endpoint, Connection)> {
    let builder = Endpoint::builder()
        .identity(Identity::generate())
        .server(server)
        .port_mapping(false)
        .accept(AcceptPolicy::Nobody);
    let endpoint = builder.bind().await?;
    endpoint.online().await?;
    endpoint.net_report().await;
    let first = endpoint.connect(publisher, topic::ALPN).await?;
    let path = first.settled().await;
    if !path.is_direct() {
        let outcome = first.outcome();
        bail!("no direct path over loopback: {path}, {outcome:?}");
    }
    Ok((endpoint, first))
}

/// Waits until the publisher has told it where it is.
async fn placed(mut subscription: Subscription) -> Option<Subscription> {
    loop {
        if let Update::Placed(_) = subscription.next().await? {
            return Some(subscription);
        }
    }
}

async fn follow(mut subscription: Subscription, tally: Arc<Tally>) {
    while let Some(update) = subscription.next().await {
        if let Update::Message(message) = update {
            tally.arrived(&message.payload);
        }
    }
}
