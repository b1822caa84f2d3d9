//! What happens to a session when its network does.

use std::time::Duration;

use gimlet_proto::traversal::Route;
use gimlet_sim::{Allocation, LinkConfig, NatConfig, Site};

use super::world::{ACCEPTOR, DIALER, Plan, World};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn connected(allocation: Allocation) -> World {
    let site = || {
        Site::behind_nat(NatConfig {
            allocation,
            ..NatConfig::strict()
        })
    };
    let mut plan = Plan::new(5, site(), site());
    plan.delay = Duration::from_millis(20);
    let world = plan.play();
    assert!(world.is_direct());
    world
}

/// Both sides send and hear nothing over the direct path, as QUIC with data under way would tell.
fn suspect(world: &mut World) {
    for who in [DIALER, ACCEPTOR] {
        let via = world.selected(who);
        world.act(who, |agent, now| agent.handle_suspect(via, now));
    }
}

#[test]
fn a_router_that_forgets_everything_costs_the_path_or_a_moment() {
    for allocation in [Allocation::Preserving, Allocation::Random] {
        let mut world = connected(allocation);
        let router = world.peers[ACCEPTOR].router.unwrap();
        world.net.reboot_router(router);
        suspect(&mut world);
        world.run(secs(2));
        let direct = world.is_direct();
        assert_eq!(direct, allocation == Allocation::Preserving);
    }
}

#[test]
fn a_new_outside_address_is_relayed_until_it_is_announced() {
    let mut world = connected(Allocation::Preserving);
    let router = world.peers[DIALER].router.unwrap();
    let outside = vec!["203.0.113.77".parse().unwrap()];
    world.net.renumber_router(router, outside);
    suspect(&mut world);
    world.run(secs(2));
    assert!(!world.is_direct());
    world.learn();
    world.trickle(DIALER);
    world.run(secs(1));
    for who in [DIALER, ACCEPTOR] {
        world.act(who, |agent, now| agent.restart(now));
    }
    world.run(secs(5));
    assert!(world.is_direct());
}

#[test]
fn a_short_outage_of_everything_ends_where_it_began() {
    let mut world = connected(Allocation::Preserving);
    let before = world.selected(DIALER);
    let router = world.peers[ACCEPTOR].router.unwrap();
    world.net.set_dark(router, true);
    world.relay_dark = true;
    suspect(&mut world);
    world.run(secs(20));
    world.net.set_dark(router, false);
    world.relay_dark = false;
    world.run(secs(40));
    assert_eq!(world.selected(DIALER), before);
    assert!(world.is_direct());
}

#[test]
fn an_hour_of_silence_keeps_the_path_behind_short_lived_mappings() {
    let site = || {
        Site::behind_nat(NatConfig {
            mapping_lifetime: secs(30),
            ..NatConfig::strict()
        })
    };
    let mut world = Plan::new(5, site(), site()).play();
    let events = world.peers[DIALER].events.len();
    let sent = world.direct_sent;
    world.run(secs(3600));
    assert!(world.is_direct());
    assert_eq!(world.peers[DIALER].events.len(), events, "nothing moved");
    // A check and an answer each way every five seconds, give or take the jitter.
    let sent = world.direct_sent - sent;
    assert!(sent < 4 * 3600 / 4, "{sent}");
}

#[test]
fn a_very_lossy_path_never_leaves_the_sides_apart_for_long() {
    let mut world = connected(Allocation::Preserving);
    let router = world.peers[ACCEPTOR].router.unwrap();
    for round in 0..20 {
        let lossy = LinkConfig {
            delay: Duration::from_millis(10),
            loss: f64::from(round % 4) * 0.3,
            ..LinkConfig::default()
        };
        world.net.set_link(router, lossy);
        suspect(&mut world);
        world.run(secs(3));
    }
    let good = LinkConfig::with_delay(Duration::from_millis(10));
    world.net.set_link(router, good);
    world.run(secs(60));
    assert!(world.is_direct());
    assert_ne!(world.selected(DIALER), Route::Relay);
}
