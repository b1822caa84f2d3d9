//! Two peers and a server in one program: one asks for a conversation, the other accepts.
//!
//! `cargo run -p gimlet-apps --example chat`

use anyhow::Context as _;
use gimlet::Endpoint;
use gimlet_apps::chat::{self, Conversation, Event, Options, Reception};
use gimlet_server::{Config, Server};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let server = Server::bind(Config::on_loopback())?;
    let address = server.address();
    tokio::spawn(server.run(std::future::pending()));

    let bob = Endpoint::builder().server(address.clone());
    let bob = bob.alpns(vec![chat::ALPN.to_vec()]).bind().await?;
    let alice = Endpoint::builder().server(address).bind().await?;
    bob.online().await?;
    let bob_id = bob.peer_id();
    tokio::spawn(answer(bob));

    let mut conversation = Conversation::ask(&alice, bob_id, Options::default()).await?;
    conversation.say("hello");
    while let Some(event) = conversation.next().await {
        match event {
            Event::Together { path } => println!("together over {path}"),
            Event::Line(text) => {
                println!("bob: {text}");
                conversation.leave();
            }
            Event::Delivered(lines) => println!("{lines} more arrived"),
            Event::Away => println!("bob is away; what is said is kept for him"),
            Event::Ended(how) => println!("over: {how}"),
            _ => (),
        }
    }
    alice.close().await;
    Ok(())
}

/// Accepts whoever asks, and repeats what is said.
async fn answer(bob: Endpoint) -> anyhow::Result<()> {
    let reception = Reception::new("bob");
    loop {
        let connection = bob.accept().await.context("closed")?;
        if let Some(request) = reception.receive(connection).await {
            let mut conversation = request.accept();
            while let Some(event) = conversation.next().await {
                if let Event::Line(text) = event {
                    conversation.say(&format!("{text} yourself"));
                }
            }
        }
    }
}
