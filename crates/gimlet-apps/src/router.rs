//! Several protocols on one endpoint: each connection goes to the handler of its ALPN.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use gimlet::{Connection, Endpoint};
use tokio::task::JoinSet;

use crate::{BUSY, NOT_SERVED};

/// Connections answered at a time unless told otherwise. Each costs a few tasks and buffers.
const MAX_CONNECTIONS: usize = 256;

type Answer = Pin<Box<dyn Future<Output = ()> + Send>>;
type Handler = Box<dyn Fn(Connection) -> Answer + Send + Sync>;

/// Answers the connections of an endpoint, each by the handler of its ALPN.
///
/// # Examples
///
/// ```no_run
/// use gimlet::{Endpoint, ServerAddress};
/// use gimlet_apps::{Router, echo};
///
/// # async fn example(server: ServerAddress) -> anyhow::Result<()> {
/// let router = Router::new().on(echo::ALPN, |connection| async move {
///     while let Ok((send, recv)) = connection.accept_bi().await {
///         tokio::spawn(echo::serve(recv, send));
///     }
/// });
/// let endpoint = Endpoint::builder().server(server).alpns(router.alpns()).bind().await?;
/// router.serve(&endpoint).await; // until the endpoint is closed
/// # Ok(())
/// # }
/// ```
#[must_use = "a router answers nothing until it serves an endpoint"]
pub struct Router {
    handlers: Vec<(Vec<u8>, Handler)>,
    limit: usize,
}

impl Router {
    /// Without any protocol.
    pub fn new() -> Self {
        Self {
            handlers: Vec::new(),
            limit: MAX_CONNECTIONS,
        }
    }

    /// Answers connections of that protocol so. The connection is closed when the handler is done
    /// and has kept no clone of it. A second handler for the same protocol is never asked.
    pub fn on<F, A>(mut self, alpn: &[u8], handler: F) -> Self
    where
        F: Fn(Connection) -> A + Send + Sync + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let handler = Box::new(move |connection| Box::pin(handler(connection)) as Answer);
        self.handlers.push((alpn.to_vec(), handler));
        self
    }

    /// How many connections are answered at a time; further ones are closed as busy. Default 256.
    pub fn limit(mut self, connections: usize) -> Self {
        self.limit = connections;
        self
    }

    /// What the endpoint has to be bound with.
    pub fn alpns(&self) -> Vec<Vec<u8>> {
        self.handlers.iter().map(|(alpn, _)| alpn.clone()).collect()
    }

    /// Answers until the endpoint is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the handlers under way.
    pub async fn serve(&self, endpoint: &Endpoint) {
        let mut answers = JoinSet::new();
        loop {
            tokio::select! {
                connection = endpoint.accept() => {
                    let Some(connection) = connection else { return };
                    match answers.len() < self.limit {
                        true => self.answer(connection, &mut answers),
                        false => connection.close(BUSY, b"busy"),
                    }
                }
                Some(_) = answers.join_next() => (),
            }
        }
    }

    fn answer(&self, connection: Connection, answers: &mut JoinSet<()>) {
        let mut handlers = self.handlers.iter();
        match handlers.find(|(alpn, _)| connection.alpn() == alpn) {
            Some((_, handler)) => drop(answers.spawn(handler(connection))),
            // The endpoint was bound with a protocol that nobody here knows.
            None => connection.close(NOT_SERVED, b"not served"),
        }
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alpns = self.handlers.iter().map(|(alpn, _)| alpn);
        f.debug_list()
            .entries(alpns.map(|alpn| String::from_utf8_lossy(alpn)))
            .finish()
    }
}
