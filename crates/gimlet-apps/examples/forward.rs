//! A TCP service of one host on a port of another, both in this program, with a server on loopback.
//!
//! ```text
//! cargo run -p gimlet-apps --example forward
//! ```

use std::sync::Arc;

use gimlet::{Endpoint, ServerAddress};
use gimlet_apps::Router;
use gimlet_apps::forward::{self, Allow, Exposed, Link, Place};
use gimlet_server::{Config, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let server = Server::bind(Config::on_loopback())?;
    let address = server.address();
    tokio::spawn(server.run(std::future::pending()));

    let host = expose(address.clone()).await?;
    let user = Endpoint::builder().server(address).bind().await?;
    let link = Link::new(user.clone(), host.peer_id());
    let forward = forward::listen(&link, &"0".parse()?, "greeter".parse()?).await?;
    let Place::Tcp(place) = forward.place() else {
        anyhow::bail!("asked for TCP");
    };

    let mut stream = TcpStream::connect(place).await?;
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting).await?;
    println!("{place} says: {greeting}");
    // How the two hosts reach each other: both addresses, once the path is direct.
    let path = link.connection().await?.settled().await;
    println!("over {path}, from {:?}", path.local);
    user.close().await;
    host.close().await;
    Ok(())
}

/// A host whose service greets whoever connects.
async fn expose(server: ServerAddress) -> anyhow::Result<Endpoint> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let place = Place::Tcp(listener.local_addr()?.to_string());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // A visitor who leaves early is not greeted.
            let _ = stream.write_all(b"hello from behind the NAT").await;
        }
    });
    let exposed = Exposed::new().service("greeter".parse()?, place, Allow::Everyone);
    let exposed = Arc::new(exposed);
    let router = Router::new().on(forward::ALPN, move |connection| {
        exposed.clone().serve(connection)
    });
    let builder = Endpoint::builder().server(server).alpns(router.alpns());
    let endpoint = builder.bind().await?;
    endpoint.online().await?;
    let serving = endpoint.clone();
    tokio::spawn(async move { router.serve(&serving).await });
    Ok(endpoint)
}
