//! A stateful packet filter without translation.
//!
//! **Invariant:** a packet goes in only as the answer to one that went out: same two endpoints,
//! within the lifetime.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::counters::Dropped;

/// A destination a restrictive firewall lets packets out to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    /// Every port of this address.
    Address(IpAddr),
    /// This address and port only.
    Endpoint(SocketAddr),
}

impl From<IpAddr> for Allowed {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl From<SocketAddr> for Allowed {
    fn from(endpoint: SocketAddr) -> Self {
        Self::Endpoint(endpoint)
    }
}

/// What may go out. What comes in is always an answer only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirewallPolicy {
    /// Everything may go out.
    Stateful,
    /// Only packets to these destinations may go out.
    UdpOnlyTo(BTreeSet<Allowed>),
    /// No UDP at all.
    BlockUdp,
}

/// Settings of a [`Firewall`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallConfig {
    /// What may go out.
    pub policy: FirewallPolicy,
    /// How long silence keeps a flow open. Default 120 s, as Linux does for UDP streams.
    pub flow_lifetime: Duration,
    /// Flows held at once; more are refused. Default 65,536, a small router's table.
    pub max_flows: usize,
}

impl FirewallConfig {
    /// Everything out, answers in.
    pub fn stateful() -> Self {
        Self {
            policy: FirewallPolicy::Stateful,
            flow_lifetime: Duration::from_secs(120),
            max_flows: 65_536,
        }
    }

    /// Out to the given addresses or endpoints only, and their answers in.
    pub fn udp_only_to(allowed: impl IntoIterator<Item = impl Into<Allowed>>) -> Self {
        let allowed = allowed.into_iter().map(Into::into).collect();
        Self {
            policy: FirewallPolicy::UdpOnlyTo(allowed),
            ..Self::stateful()
        }
    }

    /// No UDP in or out.
    pub fn block_udp() -> Self {
        Self {
            policy: FirewallPolicy::BlockUdp,
            ..Self::stateful()
        }
    }

    fn lets_out(&self, dst: SocketAddr) -> bool {
        match &self.policy {
            FirewallPolicy::Stateful => true,
            FirewallPolicy::UdpOnlyTo(allowed) => {
                allowed.contains(&Allowed::Address(dst.ip()))
                    || allowed.contains(&Allowed::Endpoint(dst))
            }
            FirewallPolicy::BlockUdp => false,
        }
    }
}

/// Judges one packet at a time: in goes only what answers something that went out.
#[derive(Debug)]
pub struct Firewall {
    config: FirewallConfig,
    /// (inside, outside) to when the flow is forgotten. At most `max_flows`.
    flows: BTreeMap<(SocketAddr, SocketAddr), Instant>,
    /// No flow ends before this, so a full table is not searched in vain.
    purge_at: Option<Instant>,
}

impl Firewall {
    /// A firewall that has seen nothing yet.
    pub fn new(config: FirewallConfig) -> Self {
        Self {
            config,
            flows: BTreeMap::new(),
            purge_at: None,
        }
    }

    /// The settings.
    pub fn config(&self) -> &FirewallConfig {
        &self.config
    }

    /// A packet from the inside `src` to `dst`.
    ///
    /// # Errors
    ///
    /// - [`Dropped::Forbidden`]: the policy does not let it out.
    /// - [`Dropped::TableFull`]: a new flow, and no room for it.
    pub fn outbound(
        &mut self,
        now: Instant,
        src: SocketAddr,
        dst: SocketAddr,
    ) -> Result<(), Dropped> {
        if !self.config.lets_out(dst) {
            return Err(Dropped::Forbidden);
        }
        if !self.flows.contains_key(&(src, dst)) {
            self.make_room(now)?;
        }
        self.flows
            .insert((src, dst), now + self.config.flow_lifetime);
        Ok(())
    }

    /// A packet from the outside `src` to the inside `dst`.
    ///
    /// # Errors
    ///
    /// - [`Dropped::Forbidden`]: it answers nothing that went out.
    pub fn inbound(
        &mut self,
        now: Instant,
        src: SocketAddr,
        dst: SocketAddr,
    ) -> Result<(), Dropped> {
        match self.flows.get_mut(&(dst, src)) {
            Some(ends_at) if now < *ends_at => {
                *ends_at = now + self.config.flow_lifetime;
                Ok(())
            }
            Some(_) | None => Err(Dropped::Forbidden),
        }
    }

    /// Forgets every flow, as a reboot does.
    pub fn flush(&mut self) {
        self.flows.clear();
        self.purge_at = None;
    }

    fn make_room(&mut self, now: Instant) -> Result<(), Dropped> {
        if self.flows.len() < self.config.max_flows {
            return Ok(());
        }
        if self.purge_at.is_none_or(|at| at <= now) {
            self.flows.retain(|_, ends_at| now < *ends_at);
            self.purge_at = self.flows.values().min().copied();
        }
        if self.flows.len() < self.config.max_flows {
            Ok(())
        } else {
            Err(Dropped::TableFull)
        }
    }
}

#[cfg(test)]
mod tests;
