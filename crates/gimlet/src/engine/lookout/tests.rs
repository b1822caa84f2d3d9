//! When servers are asked, and what counts as another mapping.

use super::*;

const INTERVAL: Duration = Duration::from_secs(15);
const SOCKET: SocketId = SocketId(0);

#[test]
fn it_asks_at_once_and_then_every_interval() {
    let mut t = Bench::new();
    for n in 0..3 {
        let request = t.next();
        assert_eq!(t.elapsed(), INTERVAL * n);
        assert_eq!(t.answer(&request, "198.51.100.1:7000"), Some(Seen::Same));
    }
}

#[test]
fn another_mapping_is_seen_once() {
    let mut t = Bench::new();
    let first = t.next();
    t.answer(&first, "198.51.100.1:7000");
    let second = t.next();
    assert_eq!(t.answer(&second, "198.51.100.1:7001"), Some(Seen::Moved));
    let third = t.next();
    assert_eq!(t.answer(&third, "198.51.100.1:7001"), Some(Seen::Same));
}

#[test]
fn what_is_asked_anew_after_a_move_is_no_move() {
    let mut t = Bench::new();
    let first = t.next();
    t.answer(&first, "198.51.100.1:7000");
    t.sut.restart(t.now);
    let again = t.next();
    assert_eq!(t.elapsed(), Duration::ZERO);
    assert_eq!(t.answer(&again, "198.51.100.9:7000"), Some(Seen::Same));
}

#[test]
fn a_silent_server_costs_three_requests_an_interval() {
    let mut t = Bench::new();
    let mut times = Vec::new();
    for _ in 0..6 {
        t.next();
        times.push(t.elapsed().as_millis());
    }
    assert_eq!(times, [0, 200, 600, 16_400, 16_600, 17_000]);
}

#[test]
fn hurrying_does_not_repeat_what_is_under_way() {
    let mut t = Bench::new();
    t.next();
    t.sut.hurry(t.now);
    t.next();
    assert_eq!(t.elapsed(), FIRST_RETRY);
}

#[test]
fn answers_of_others_or_to_nothing_asked_are_ignored() {
    let mut t = Bench::new();
    let request = t.next();
    let elsewhere = stun::answer_binding(&request, addr("6.6.6.6:6")).unwrap();
    let strange = t
        .sut
        .handle_datagram(SOCKET, addr("192.0.2.9:9"), &elsewhere, t.now);
    assert_eq!(strange, None);
    let other = stun::encode_binding_request(TransactionId([0xee; 12]));
    assert_eq!(t.answer(&other, "6.6.6.6:6"), None);
    assert!(t.answer(&request, "198.51.100.1:7000").is_some());
    assert_eq!(t.answer(&request, "6.6.6.6:6"), None, "answered already");
}

struct Bench {
    sut: Lookout,
    start: Instant,
    now: Instant,
    drawn: u8,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        let mut sut = Lookout::new(INTERVAL);
        sut.watch((SOCKET, addr("203.0.113.1:3478")), now);
        Self {
            sut,
            start: now,
            now,
            drawn: 0,
        }
    }

    /// Runs to the next request.
    fn next(&mut self) -> Vec<u8> {
        loop {
            if let Some((_, request)) = self.sut.poll_transmit() {
                return request;
            }
            let at = self.sut.poll_timeout().expect("a timer is armed");
            self.now = self.now.max(at);
            let drawn = &mut self.drawn;
            let mut random = || {
                *drawn += 1;
                [*drawn; 12]
            };
            self.sut.handle_timeout(&mut random, self.now);
        }
    }

    fn answer(&mut self, request: &[u8], seen: &str) -> Option<Seen> {
        let answer = stun::answer_binding(request, addr(seen)).unwrap();
        let from = addr("203.0.113.1:3478");
        self.sut.handle_datagram(SOCKET, from, &answer, self.now)
    }

    fn elapsed(&self) -> Duration {
        self.now - self.start
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}
