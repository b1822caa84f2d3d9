//! A relay with two lanes: what a shard does by itself, and what attackers can do between two shards.

use super::*;

/// The bench's relay with lanes that are told, or not yet told, what it decides.
struct Shards {
    t: Bench,
    lanes: [Lane; 2],
}

impl Shards {
    fn open() -> Self {
        let mut t = Bench::open();
        let lane = || Lane::new(Limits::default(), 7, t.sut.clock, t.now);
        let lanes = [lane(), lane()];
        let mut shards = Self {
            lanes,
            t: Bench::new(Config::default()),
        };
        std::mem::swap(&mut shards.t, &mut t);
        shards.tell();
        shards
    }

    fn tell(&mut self) {
        while let Some(update) = self.t.sut.poll_update() {
            for lane in &mut self.lanes {
                lane.apply(update.clone());
            }
        }
    }

    /// A data frame of 100 bytes, arriving at this shard.
    fn data(&mut self, shard: usize, from: SocketAddr) -> Action {
        let mut datagram = header(FrameKind::Data, SESSION).to_vec();
        datagram.resize(100, 0);
        self.frame(shard, from, &datagram)
    }

    fn frame(&mut self, shard: usize, from: SocketAddr, datagram: &[u8]) -> Action {
        let frame = Frame::decode(datagram).expect("a frame");
        let run = Run::single(datagram);
        let lane = &mut self.lanes[shard];
        match lane.handle(from, &frame, &run, self.t.now) {
            Some(action) => action,
            None => self.t.frame(from, datagram),
        }
    }
}

#[test]
fn any_shard_sends_on_by_itself_and_the_counters_are_the_sessions() {
    let mut t = Shards::open();
    for shard in [0, 1] {
        assert_eq!(t.lanes[shard].len(), 1);
        assert_eq!(t.data(shard, addr(1)), Action::Forward { to: addr(2) });
        assert_eq!(t.data(shard, addr(2)), Action::Forward { to: addr(1) });
    }
    t.t.command(Command::Close { session: SESSION });
    t.tell();
    assert_eq!(t.t.ended().1, [traffic(2, 200), traffic(2, 200)]);
    assert!(t.lanes.iter().all(Lane::is_empty));
}

#[test]
fn a_session_that_only_shards_hear_of_is_not_idle() {
    let mut t = Shards::open();
    for _ in 0..10 {
        t.t.advance(Duration::from_secs(15));
        assert_eq!(t.data(1, addr(2)), Action::Forward { to: addr(1) });
    }
    assert_eq!(t.t.sut.len(), 1);
}

#[test]
fn whatever_is_not_data_of_a_bound_side_is_left_to_the_relay() {
    let mut t = Shards::open();
    let frames = [
        header(FrameKind::Data, SESSION).to_vec(),
        encode_bind(SESSION, 9, &SECRET_A).to_vec(),
        header(FrameKind::Bound, SESSION).to_vec(),
        header(FrameKind::Unknown, SESSION).to_vec(),
        header(FrameKind::Data, SessionId([0; 8])).to_vec(),
    ];
    for datagram in frames {
        let (frame, run) = (Frame::decode(&datagram).unwrap(), Run::single(&datagram));
        let judged = t.lanes[0].handle(addr(66), &frame, &run, t.t.now);
        assert_eq!(judged, None, "{frame:?}");
    }
    assert_eq!(t.data(0, addr(66)), unknown(SESSION));
}

#[test]
fn a_shard_that_was_not_told_yet_loses_nothing_from_a_side_that_moved() {
    let mut t = Shards::open();
    let moved = encode_bind(SESSION, 2, &SECRET_A);
    assert!(matches!(t.frame(1, addr(9), &moved), Action::Answer(_)));
    assert_eq!(t.data(1, addr(9)), Action::Forward { to: addr(2) });
    t.tell();
    assert_eq!(t.data(1, addr(9)), Action::Forward { to: addr(2) });
    assert_eq!(t.data(0, addr(2)), Action::Forward { to: addr(9) });
    assert_eq!(
        t.data(0, addr(1)),
        unknown(SESSION),
        "the old address is let go"
    );
}

#[test]
fn a_bind_frame_played_to_both_shards_at_once_moves_both_or_none() {
    let mut t = Shards::open();
    // Bind 2 comes from the side itself to one shard, and from an attacker who saw it to the other.
    let bind = encode_bind(SESSION, 2, &SECRET_A);
    assert!(matches!(t.frame(0, addr(9), &bind), Action::Answer(_)));
    let replayed = t.frame(1, addr(66), &bind);
    assert_eq!(replayed, Action::Dropped(Dropped::StaleBind));
    t.tell();
    for shard in [0, 1] {
        assert_eq!(t.data(shard, addr(2)), Action::Forward { to: addr(9) });
        assert_eq!(t.data(shard, addr(66)), unknown(SESSION));
    }
}

#[test]
fn a_lane_made_late_knows_what_the_relay_knows() {
    let mut t = Shards::open();
    t.lanes[1] = t.t.sut.lane(t.t.now);
    assert_eq!(t.data(1, addr(1)), Action::Forward { to: addr(2) });
}

#[test]
fn a_side_that_does_not_bind_is_no_way_around_the_shares() {
    let mut t = Bench::asked();
    t.bind(addr(1), 1, &SECRET_A);
    let mut passed = 0;
    for _ in 0..3000 {
        match t.data(addr(1), 10) {
            Action::Forward { .. } => passed += 1000,
            other => assert_eq!(other, Action::Dropped(Dropped::Unbound)),
        }
    }
    assert!((1_000_000..1_100_000).contains(&passed), "{passed}");
}

#[test]
fn an_id_that_is_opened_anew_has_nothing_of_the_session_before() {
    let mut t = Shards::open();
    t.t.command(open());
    t.tell();
    assert!(t.lanes.iter().all(Lane::is_empty));
    assert_eq!(t.data(0, addr(1)), Action::Held);
}
