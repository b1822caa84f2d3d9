//! `gimlet/topic/1`: publish/subscribe, straight from a publisher to each of its subscribers.
//!
//! A [`Publisher`] numbers its messages by [`Topic`] and keeps them for a while. A [`Subscription`]
//! gets every message of one topic of one peer once and in order, also over reconnects and restarts of
//! either side: it names the last one it has, and the publisher goes on from there. What was dropped
//! meanwhile is counted, never passed over in silence.
//!
//! | module | what |
//! | --- | --- |
//! | `keep` | the messages kept, by topic: one log for all subscribers |
//! | `reader` | one subscriber's place in it, and how far it may be ahead of what was taken |
//! | `wire` | the records on a stream |
//! | `store` | the log on disk |
//!
//! # Examples
//!
//! ```no_run
//! use gimlet::Endpoint;
//! use gimlet_apps::Router;
//! use gimlet_apps::topic::{self, Config, Publisher, Start, Subscription, Topic, Update};
//!
//! # async fn example(alice: Endpoint, bob: Endpoint) -> anyhow::Result<()> {
//! let news: Topic = "news".parse()?;
//! let publisher = Publisher::start(Config::default()).await?;
//! let router = Router::new().on(topic::ALPN, publisher.handler()); // alice serves this
//! publisher.publish(&news, "it works").await?;
//!
//! let mut subscription = Subscription::start(&bob, alice.peer_id(), news, Start::Kept);
//! while let Some(update) = subscription.next().await {
//!     if let Update::Message(message) = update {
//!         println!("{}: {:?}", message.position.seq, message.payload);
//!     }
//! }
//! # drop(router);
//! # Ok(())
//! # }
//! ```

mod keep;
mod name;
mod publisher;
mod reader;
mod store;
mod subscription;
mod wire;

pub use keep::Limits;
pub use name::{ParseTopicError, Topic};
pub use publisher::{Config, Event, PublishError, Publisher, Status};
pub use store::StoreError;
pub use subscription::{Lost, Message, Subscription, Update};
pub use wire::{Position, Start};

/// ALPN of publish/subscribe.
pub const ALPN: &[u8] = b"gimlet/topic/1";

/// Largest message, bytes. Larger things are files; a subscriber has to hold a whole one.
pub const MAX_MESSAGE: usize = 1 << 20;
