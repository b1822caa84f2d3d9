//! Two programs that know nothing of each other but a server and a short code.
//!
//! ```sh
//! cargo run -p gimlet-apps --example code -- "$GIMLET_SERVER"                          # shows a code
//! cargo run -p gimlet-apps --example code -- "$GIMLET_SERVER" 7-crystal-clock          # uses it
//! ```

use gimlet::{AcceptPolicy, Endpoint, ServerAddress};
use gimlet_apps::Router;
use gimlet_apps::code::{self, Code, OfferEvent};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let server: ServerAddress = args.next().unwrap_or_default().parse()?;
    match args.next() {
        Some(code) => claim(server, code.parse()?).await,
        None => offer(server).await,
    }
}

/// Shows a code and says hello to whoever has it.
async fn offer(server: ServerAddress) -> anyhow::Result<()> {
    let endpoint = Endpoint::builder()
        .server(server)
        .alpns(vec![code::ALPN.to_vec()])
        // A claimant is a stranger until it has proven to know the code.
        .accept(AcceptPolicy::All)
        .bind()
        .await?;
    let mut offer = code::offer(&endpoint, code::Options::default()).await?;
    println!("{}", offer.code());
    let door = offer.door();
    let router = Router::new().on(code::ALPN, move |connection| {
        let door = door.clone();
        async move { door.answer(connection).await }
    });
    tokio::select! {
        () = router.serve(&endpoint) => (),
        event = offer.event() => match event {
            Some(OfferEvent::Met(met)) => {
                println!("met {}", met.peer);
                let mut send = met.connection.open_uni().await?;
                send.write_all(b"hello").await?;
                send.finish()?;
                met.connection.closed().await;
            }
            other => println!("nobody: {other:?}"),
        },
    }
    endpoint.close().await;
    Ok(())
}

/// Finds who offers the code, and hears what it says.
async fn claim(server: ServerAddress, code: Code) -> anyhow::Result<()> {
    let endpoint = Endpoint::builder().server(server).bind().await?;
    let met = code::claim(&endpoint, &code).await?;
    println!("met {}", met.peer);
    let mut recv = met.connection.accept_uni().await?;
    let said = recv.read_to_end(1024).await?;
    println!("{}", String::from_utf8_lossy(&said));
    endpoint.close().await;
    Ok(())
}
