//! Playing one trial to its end.

use std::time::Duration;

use gimlet_proto::traversal::{Failure, Strategy};

use crate::peer::{ACCEPTOR, DIALER};
use crate::world::World;
use crate::{Conditions, Site};

/// How long a trial may take from the call of `connect`: longer than the longest search promised.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// How long data may take over a path that both sides have selected, and how often it is repeated.
/// At 2 % loss ten losses in a row do not happen.
const DATA_PATIENCE: Duration = Duration::from_secs(3);
/// See [`DATA_PATIENCE`].
const DATA_INTERVAL: Duration = Duration::from_millis(300);

/// What came of one attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// Both sides selected a direct path and data passed over it both ways.
    pub direct: bool,
    /// When the later side selected it, since the dialer asked.
    pub after_connect: Option<Duration>,
    /// The same, since the dialer knew the acceptor's candidates.
    pub after_exchange: Option<Duration>,
    /// How the dialer found it.
    pub strategy: Option<Strategy>,
    /// Why the dialer found none.
    pub failure: Option<Failure>,
    /// Datagrams sent by dialer and acceptor, without data and what goes over the relay.
    pub sent: [u32; 2],
    /// Of these, those to ports that the other side neither announced nor was heard from, and
    /// samples.
    pub searching: [u32; 2],
    /// Of these, those to such hosts. Always 0.
    pub astray: u32,
    /// Sides whose prober was wrong about mapping or allocation.
    pub misjudged: u32,
    /// The most that a side sent within a second.
    pub busiest_second: u32,
}

/// Plays one trial: `sites` are the dialer's and the acceptor's.
pub fn play(seed: u64, sites: [Site; 2], conditions: &Conditions) -> Trial {
    let mut world = World::new(seed, sites, conditions);
    let misjudged = [DIALER, ACCEPTOR]
        .into_iter()
        .filter(|&who| sites[who].is_misjudged(world.peers[who].nat))
        .count();
    world.introduce();
    let deadline = world.dialed_at + PATIENCE;
    world.run_until(deadline, |world| is_direct(world) || is_over(world));
    let sent = world.peers.each_ref().map(|peer| peer.sent);
    let selected_at = match is_direct(&world) {
        true => world
            .peers
            .each_ref()
            .map(|p| p.direct_since)
            .into_iter()
            .max()
            .flatten(),
        false => None,
    };
    let direct = selected_at.is_some() && carries_data(&mut world);
    let outcome = world.peers[DIALER].agent.outcome();
    let since = |from| selected_at.filter(|_| direct).map(|at| at - from);
    Trial {
        direct,
        after_connect: since(world.dialed_at),
        after_exchange: world.exchanged_at.and_then(since),
        strategy: outcome.strategy.filter(|_| direct),
        failure: outcome.failure.filter(|_| !direct),
        sent: sent.map(|s| s.total),
        searching: sent.map(|s| s.searching),
        astray: sent.map(|s| s.astray).into_iter().sum(),
        misjudged: misjudged as u32,
        busiest_second: sent[0].busiest_second.max(sent[1].busiest_second),
    }
}

/// Both sides have selected a direct path.
fn is_direct(world: &World) -> bool {
    let [dialer, acceptor] = world.peers.each_ref().map(|peer| peer.direct_since);
    dialer.is_some() && acceptor.is_some()
}

/// Neither side tries any more.
fn is_over(world: &World) -> bool {
    world
        .peers
        .iter()
        .all(|peer| peer.given_up && peer.direct_since.is_none())
}

/// A path counts when data has passed over it both ways.
fn carries_data(world: &mut World) -> bool {
    let until = world.now + DATA_PATIENCE;
    let arrived = |world: &World| world.peers.iter().all(|peer| peer.got_data);
    while !arrived(world) && world.now < until {
        world.send_data();
        world.run_until(world.now + DATA_INTERVAL, arrived);
    }
    arrived(world) && is_direct(world)
}
