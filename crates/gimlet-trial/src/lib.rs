//! One attempt to join two sites, in virtual time and without a runtime: thousands a second.
//!
//! A trial is two [`Agent`](gimlet_proto::traversal::Agent)s on a [`Net`](gimlet_sim::Net), with a
//! stand-in for the server that answers STUN on two ports and carries letters: introductions, hints
//! and relayed checks, each as late as its way over the server is long. Routers make mappings for
//! other people too. No QUIC, no sockets, no clock: the same [`Conditions`], sites and seed give the
//! same [`Trial`] on every machine.
//!
//! - [`Site`]: what stands between a host and the internet, by a short name.
//! - [`Expectation`]: what must come of a pair of sites.
//! - [`play`]: one trial.
//! - [`Tally`] and [`Figures`]: many of them, counted.

mod conditions;
mod crowd;
mod expectation;
mod layout;
mod letters;
mod peer;
mod play;
mod probing;
mod site;
mod tally;
mod world;

pub use conditions::{Conditions, Delay};
pub use expectation::{Expectation, Predictable, expectation};
pub use play::{PATIENCE, Trial, play};
pub use site::Site;
pub use tally::{Figures, Share, Spread, Tally};
