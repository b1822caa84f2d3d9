//! `gimlet/chat/2`: conversations, a line at a time.
//!
//! A [`Conversation`] is asked for by one side and accepted by the other. Every line arrives once and in
//! order, and is told to have arrived; connections may break meanwhile and paths change, and either side
//! may be restarted: the conversation goes on as long as both want it. The accepting side's
//! [`Reception`] knows which connection belongs to which conversation.
//!
//! | module | what |
//! | --- | --- |
//! | `exchange` | one side's machine: numbers, acknowledgements, what is said again |
//! | `wire` | the records on the stream |
//! | `driver` | the task that joins both with connections |
//!
//! # Examples
//!
//! ```no_run
//! use gimlet::{Endpoint, PeerId};
//! use gimlet_apps::chat::{Conversation, Event, Options, Reception};
//!
//! # async fn example(alice: Endpoint, bob: Endpoint) -> anyhow::Result<()> {
//! // Bob's side, bound with the ALPN of chat.
//! tokio::spawn(async move {
//!     let reception = Reception::new("bob");
//!     while let Some(connection) = bob.accept().await {
//!         if let Some(request) = reception.receive(connection).await {
//!             let mut conversation = request.accept();
//!             conversation.say("hello");
//!         }
//!     }
//! });
//! // Alice's.
//! # let id: PeerId = alice.peer_id();
//! let mut conversation = Conversation::ask(&alice, id, Options::default()).await?;
//! while let Some(event) = conversation.next().await {
//!     if let Event::Line(text) = event {
//!         println!("bob: {text}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod conversation;
mod driver;
mod exchange;
mod link;
mod reception;
mod wire;

pub use conversation::{Conversation, Event, Listener, Options, Speaker};
pub use reception::{Reception, Request};
pub use wire::ConversationId;

/// ALPN of conversations.
pub const ALPN: &[u8] = b"gimlet/chat/2";

/// Longest line sent, bytes: several screens. A longer one is said as several.
pub const MAX_LINE: usize = 16 * 1024;

/// Lines that may wait to arrive: more than a person types while a train is in a tunnel.
pub const MAX_UNDELIVERED: usize = 256;

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// We left.
    #[error("you left")]
    Left,
    /// The other side left.
    #[error("said goodbye")]
    TheyLeft,
    /// Who was asked does not want to talk.
    #[error("does not want to talk now")]
    Denied,
    /// Who was asked did not answer within a minute.
    #[error("did not answer the request")]
    Unanswered,
    /// Who was asked has as many conversations as it takes.
    #[error("has too many conversations")]
    Busy,
    /// The other side did not come back within ten minutes.
    #[error("did not come back")]
    Away,
}
