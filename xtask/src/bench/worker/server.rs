//! The Gimlet server with its defaults, over loopback, open to everyone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use gimlet_server::{Config, RunError, Server, ServerHandle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::bench::message::Spot;

/// How long a server may take to stop; it says less than a second.
const STOPPING: Duration = Duration::from_secs(10);

type Task = JoinHandle<Result<(), RunError>>;

/// A server that runs.
pub(super) struct Running {
    pub(super) handle: ServerHandle,
    pub(super) addr: SocketAddr,
    pub(super) line: String,
    /// Stops it; gone once it is.
    stop: Option<(oneshot::Sender<()>, Task)>,
}

/// Starts one.
pub(super) fn start(spot: Option<Spot>) -> anyhow::Result<Running> {
    let mut config = Config::on_loopback();
    if let Some(spot) = spot {
        config.listen = spot.listen;
        config.state = Some(spot.state);
    }
    let server = Server::bind(config)?;
    let (handle, addr) = (server.handle(), server.local_addr());
    let line = server.address().to_string();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        let stopped = async {
            if stopped.await.is_err() {
                // Nobody is left to stop it: it runs as long as the process.
                std::future::pending().await
            }
        };
        let ended = server.run(stopped).await;
        if let Err(error) = &ended {
            // Its peers can only tell that it is gone.
            anstream::eprintln!("the server ended: {error}");
        }
        ended
    });
    Ok(Running {
        handle,
        addr,
        line,
        stop: Some((stop, task)),
    })
}

impl Running {
    /// Stops it as an operator does; how many seconds that took.
    pub(super) async fn stop(&mut self) -> anyhow::Result<f64> {
        let (stop, task) = self.stop.take().context("the server is stopped already")?;
        let began = Instant::now();
        // It may have ended by itself, which the task tells.
        let _ = stop.send(());
        let ended = timeout(STOPPING, task).await;
        ended.context("the server does not stop")???;
        Ok(began.elapsed().as_secs_f64())
    }
}
