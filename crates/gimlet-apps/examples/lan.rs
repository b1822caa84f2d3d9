//! Peers on this network, with no server: run it on several machines, or several times.
//!
//! ```sh
//! cargo run -p gimlet-apps --example lan -- hello
//! ```
//!
//! Each says something to all it finds, prints who has it, and prints what the others say.

use std::time::Duration;

use gimlet::Endpoint;
use gimlet_apps::Router;
use gimlet_apps::lan::{self, Lan, Options};

/// How long to look for others before saying anything.
const LOOK: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let text = std::env::args().nth(1).unwrap_or("hello".to_owned());
    let endpoint = Endpoint::builder()
        .lan(true)
        .alpns(vec![lan::ALPN.to_vec()])
        .bind()
        .await?;
    let options = Options {
        announce: true,
        name: None,
    };
    let mut lan = Lan::start(&endpoint, options)?;
    let door = lan.door();
    let router = Router::new().on(lan::ALPN, move |connection| {
        let door = door.clone();
        async move { door.answer(connection).await }
    });
    let serving = endpoint.clone();
    tokio::spawn(async move { router.serve(&serving).await });

    lan.wait_for(usize::MAX, LOOK).await;
    println!("{} peers on this network", lan.peer_count());
    for answer in lan.broadcast(text.as_bytes()).await {
        println!("{}: {:?}", answer.peer.peer.short(), answer.outcome);
    }
    loop {
        tokio::select! {
            message = lan.message() => {
                let text = String::from_utf8_lossy(&message.content);
                println!("{}: {text}", message.from.short());
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    drop(lan);
    endpoint.close().await;
    Ok(())
}
