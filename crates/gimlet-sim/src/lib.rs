//! A deterministic virtual network: hosts, links, NATs and firewalls, and an oracle for what can be joined.
//!
//! [`Net`] carries opaque datagrams between hosts through a tree of routers whose root is the
//! internet. Nothing here reads a clock or the system's randomness: time is an argument, and one
//! seed decides a whole run, so the same calls with the same seed give the same bytes at the same
//! instants.
//!
//! The parts stand alone as well: [`Nat`] and [`Firewall`] are machines that translate or judge one
//! packet at a time, and [`oracle`] is a pure function over site classes.
//!
//! # Examples
//!
//! ```
//! use std::time::{Duration, Instant};
//! use gimlet_sim::{LinkConfig, NatConfig, Net, RouterKind};
//!
//! let start = Instant::now();
//! let ms = |n| LinkConfig::with_delay(Duration::from_millis(n));
//! let mut net = Net::new(7, start);
//! let server = net.add_host(None, vec!["198.51.100.1".parse()?], ms(0));
//! let home = net.add_router(
//!     None,
//!     RouterKind::Nat(NatConfig::strict()),
//!     vec!["203.0.113.1".parse()?],
//!     ms(20),
//! );
//! let alice = net.add_host(Some(home), vec!["192.168.1.2".parse()?], ms(0));
//!
//! net.send(start, alice, "192.168.1.2:7000".parse()?, "198.51.100.1:3478".parse()?, b"hi".to_vec());
//! let delivery = net.poll_delivery(start + Duration::from_secs(1)).expect("nothing loses it");
//! assert_eq!(delivery.host, server);
//! assert_eq!(delivery.src, "203.0.113.1:7000".parse()?);
//! assert_eq!(delivery.at, start + Duration::from_millis(20));
//! # Ok::<(), std::net::AddrParseError>(())
//! ```
#![forbid(unsafe_code)]

mod counters;
mod firewall;
mod link;
mod nat;
mod net;
mod oracle;
mod rng;

pub use counters::{Counters, Dropped};
pub use firewall::{Allowed, Firewall, FirewallConfig, FirewallPolicy};
pub use link::{JitterKind, LinkConfig};
pub use nat::{Allocation, Filtering, Flow, Mapping, Nat, NatConfig};
pub use net::{Delivery, Direction, HostId, Net, NodeId, RouterId, RouterKind};
pub use oracle::{
    Family, Layer, SharedVerdict, Site, SiteClass, Verdict, oracle, oracle_behind_one_router,
};
pub use rng::Rng;
