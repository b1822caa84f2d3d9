//! Everybody else behind the same routers: now and then one of them makes a mapping.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use gimlet_sim::{HostId, Net, Rng};

/// Where the crowd sends; nobody is there. The routers make their mappings all the same.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 88, 99, 1));

/// Other hosts, each with its own rhythm.
#[derive(Debug)]
pub(crate) struct Crowd {
    dice: Rng,
    /// On average half of this between two mappings; `None` for nobody.
    longest_gap: Option<Duration>,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    host: HostId,
    next_at: Instant,
    /// Every mapping is made by another inside port towards another outside one.
    made: u16,
}

impl Crowd {
    pub(crate) fn new(hosts: Vec<HostId>, per_s: u32, mut dice: Rng, now: Instant) -> Self {
        let longest_gap = (per_s > 0).then(|| Duration::from_secs(2) / per_s);
        let member = |host| Member {
            host,
            next_at: now + dice.span(longest_gap.unwrap_or_default()),
            made: 0,
        };
        let members = match longest_gap {
            Some(_) => hosts.into_iter().map(member).collect(),
            None => Vec::new(),
        };
        Self {
            longest_gap,
            members,
            dice,
        }
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.members.iter().map(|member| member.next_at).min()
    }

    /// Lets everybody send whose time has come.
    pub(crate) fn act(&mut self, net: &mut Net, now: Instant) {
        let Some(longest_gap) = self.longest_gap else {
            return;
        };
        for member in self.members.iter_mut().filter(|m| m.next_at <= now) {
            let anywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            let from = SocketAddr::new(anywhere, 40_000 + member.made % 20_000);
            let to = SocketAddr::new(ELSEWHERE, 1 + member.made);
            net.send(now, member.host, from, to, Vec::new());
            member.made = member.made.wrapping_add(1) % u16::MAX;
            member.next_at = now + self.dice.span(longest_gap);
        }
    }
}
