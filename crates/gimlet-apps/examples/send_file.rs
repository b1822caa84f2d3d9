//! Sends files and folders to a peer that runs `gimlet recv`:
//!
//! ```text
//! cargo run -p gimlet-apps --example send_file -- SERVER PEER PATH…
//! ```
//!
//! SERVER is the line that `gimlet serve` printed, PEER a name, an id or the beginning of one. Broken off
//! and run again, it goes on where it was, if it has the same identity.

use std::path::{Path, PathBuf};

use gimlet::{Endpoint, Identity, ServerAddress};
use gimlet_apps::files::{self, Event, Offer, Reporter};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(server), Some(peer)) = (args.next(), args.next()) else {
        anyhow::bail!("usage: send_file SERVER PEER PATH…");
    };
    let server: ServerAddress = server.parse()?;
    let offer = Offer::of(args.map(PathBuf::from).collect()).await?;

    // The same key at each start: it is part of what the receiver finds an unfinished transfer by.
    let identity = Identity::load_or_create(Path::new("send_file.key"))?;
    let builder = Endpoint::builder().identity(identity).server(server);
    let endpoint = builder.bind().await?;
    endpoint.online().await?;
    let peer = endpoint.resolve(&peer).await?.peer;
    let mut watching = endpoint.watch(peer).await?;

    let (reporter, mut reports) = Reporter::new();
    let printing = tokio::spawn(async move {
        while let Some(event) = reports.next().await {
            match event {
                Event::Offered { files, bytes } => println!("{files} files, {bytes} bytes"),
                Event::Began { resumed } => println!("{resumed} bytes are there already"),
                Event::Finished(file) => println!("{}  {}", file.hash_text(), file.name),
                other => println!("{other:?}"),
            }
        }
    });
    loop {
        let connection = endpoint.connect(peer, files::ALPN).await?;
        match offer.serve(&connection, &reporter).await {
            Ok(summary) => {
                println!("{} files have arrived", summary.files);
                break;
            }
            Err(error) if error.is_interruption() => {
                eprintln!("{error}; once more as soon as it is there")
            }
            Err(error) => return Err(error.into()),
        }
        anyhow::ensure!(watching.online().await, "the endpoint is closed");
    }
    drop(reporter);
    printing.await?;
    endpoint.close().await;
    Ok(())
}
