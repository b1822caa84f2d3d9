//! A publisher, two subscribers and a server in one program; one subscriber comes late.
//!
//! `cargo run -p gimlet-apps --example publish`

use gimlet::{Endpoint, PeerId, ServerAddress};
use gimlet_apps::Router;
use gimlet_apps::topic::{self, Config, Publisher, Start, Subscription, Topic, Update};
use gimlet_server::Server;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let server = Server::bind(gimlet_server::Config::on_loopback())?;
    let address = server.address();
    tokio::spawn(server.run(std::future::pending()));

    let publisher = Publisher::start(Config::default()).await?;
    let router = Router::new().on(topic::ALPN, publisher.handler());
    let alice = Endpoint::builder().server(address.clone());
    let alice = alice.alpns(router.alpns()).bind().await?;
    alice.online().await?;
    let id = alice.peer_id();
    tokio::spawn(async move { router.serve(&alice).await });

    let news: Topic = "news".parse()?;
    let early = tokio::spawn(follow("early", address.clone(), id, news.clone()));
    for text in ["one", "two", "three"] {
        let seq = publisher.publish(&news, text).await?;
        println!("published {seq}: {text}");
    }
    let late = tokio::spawn(follow("late", address, id, news));
    early.await??;
    late.await??;
    publisher.delivered().await;
    Ok(())
}

/// Prints three messages.
async fn follow(
    who: &str,
    server: ServerAddress,
    publisher: PeerId,
    topic: Topic,
) -> anyhow::Result<()> {
    let endpoint = Endpoint::builder().server(server).bind().await?;
    let mut subscription = Subscription::start(&endpoint, publisher, topic, Start::Kept);
    let mut left = 3;
    while left > 0
        && let Some(update) = subscription.next().await
    {
        match update {
            Update::Message(message) => {
                let text = String::from_utf8_lossy(&message.payload);
                println!("{who} got {}: {text}", message.position.seq);
                left -= 1;
            }
            Update::Missed { count } => println!("{who} missed {count}"),
            Update::Connected { path } => println!("{who} is connected over {path}"),
            Update::Disconnected { reason } => println!("{who}: {reason}; trying again"),
            _ => (),
        }
    }
    subscription.unsubscribe().await;
    endpoint.close().await;
    Ok(())
}
