//! A server's tasks, and how they end.

use std::io;
use std::time::Duration;

use gimlet_proto::rendezvous::CloseReason;
use quinn::{Endpoint, VarInt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time;

use super::error::RunError;
use crate::control::Input;

/// Time for the connections to say goodbye once closed. With the drain before it, less than a second.
const GOODBYE: Duration = Duration::from_millis(500);

/// More time for each connection, to be told and to be closed: a packet and its acknowledgement. A crowd
/// of 20,000 takes two seconds more in all; who is not told comes back as soon as all others.
const TELLING: Duration = Duration::from_micros(50);

/// The tasks of a server. Dropping it stops them all.
pub(super) struct Running {
    pub(super) endpoint: Endpoint,
    pub(super) control: mpsc::Sender<Input>,
    /// Sockets: they run to the end.
    pub(super) tasks: JoinSet<io::Result<()>>,
    /// Control and door: they end when the endpoint is closed.
    pub(super) sessions: JoinSet<()>,
    pub(super) writer: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    /// Waits for what should not happen.
    pub(super) async fn failed(&mut self) -> RunError {
        tokio::select! {
            Some(ended) = self.tasks.join_next() => match ended {
                Ok(Err(error)) => RunError::Socket(error),
                Ok(Ok(())) | Err(_) => RunError::TaskEnded,
            },
            Some(_) = self.sessions.join_next() => RunError::TaskEnded,
        }
    }

    pub(super) async fn stop(self, drain: Duration) {
        let Self {
            endpoint,
            control,
            tasks,
            mut sessions,
            writer,
        } = self;
        let telling =
            TELLING.saturating_mul(u32::try_from(endpoint.open_connections()).unwrap_or(u32::MAX));
        let drain = drain.saturating_add(telling);
        let _ = control.send(Input::Drain(drain)).await;
        let _ = time::timeout(drain, endpoint.wait_idle()).await;
        let reason = CloseReason::ShuttingDown;
        let code = VarInt::from_u32(reason.code());
        endpoint.close(code, reason.to_string().as_bytes());
        drop(control);
        let goodbye = async {
            endpoint.wait_idle().await;
            while sessions.join_next().await.is_some() {}
        };
        let _ = time::timeout(GOODBYE + telling, goodbye).await;
        // The control task ends here at the latest, and with it the writer's work.
        sessions.shutdown().await;
        drop(tasks);
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            tracing::error!("the thread that writes names has panicked");
        }
    }
}
