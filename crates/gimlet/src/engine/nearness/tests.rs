//! When servers are measured, and which answers count.

use super::*;

#[test]
fn all_servers_are_asked_at_once_and_the_answers_timed() {
    let mut t = Bench::new(2);
    let questions = t.sent();
    assert_eq!(questions.len(), 2);
    t.now += ms(20);
    assert!(t.answer(&questions[1]));
    t.now += ms(10);
    assert!(t.answer(&questions[0]));
    assert_eq!(t.events(), [(1, Some(ms(20))), (0, Some(ms(30)))]);
    assert_eq!(t.next(), ms(30) + INTERVAL - ms(10));
}

#[test]
fn an_answer_to_a_repeat_is_timed_from_the_repeat() {
    let mut t = Bench::new(1);
    t.sent();
    assert_eq!(t.next(), ms(200));
    let repeat = t.sent();
    t.now += ms(35);
    assert!(t.answer(&repeat[0]));
    assert_eq!(t.events(), [(0, Some(ms(35)))]);
}

#[test]
fn a_silent_server_costs_three_questions_a_round_and_is_asked_again_soon() {
    let mut t = Bench::new(1);
    let mut times = vec![];
    for _ in 0..6 {
        times.extend(t.sent().iter().map(|_| t.elapsed()));
        t.next();
    }
    assert_eq!(times, [ms(0), ms(200), ms(500), ms(6000), ms(6200)]);
    assert_eq!(t.events(), [(0, None)]);
}

#[test]
fn answers_of_others_or_of_elsewhere_are_ignored() {
    let mut t = Bench::new(1);
    let (_, request) = t.sent().remove(0);
    let answer = stun::answer_binding(&request, addr(9, 9)).unwrap();
    let elsewhere = (SocketId(0), addr(66, 6));
    assert!(!t.sut.handle_datagram(elsewhere, &answer, t.now));
    let post = (SocketId(0), addr(0, 13000));
    assert!(!t.sut.handle_datagram(post, &answer[1..], t.now));
    assert!(t.sut.handle_datagram(post, &answer, t.now));
    assert!(!t.sut.handle_datagram(post, &answer, t.now), "once only");
}

#[test]
fn one_address_of_each_family_is_asked() {
    let now = Instant::now();
    let mut sut = Nearness::default();
    let v6 = "[2001:db8::1]:1".parse().unwrap();
    let posts = [addr(1, 1), addr(2, 1), v6].map(|addr| (SocketId(0), addr));
    sut.add(ServerId(0), &posts, now);
    sut.handle_timeout(&mut rand::random, now);
    let asked: Vec<_> = std::iter::from_fn(|| sut.poll_transmit()).collect();
    let asked: Vec<_> = asked.iter().map(|((_, addr), _)| *addr).collect();
    assert_eq!(asked, [addr(1, 1), v6]);
}

struct Bench {
    sut: Nearness,
    start: Instant,
    now: Instant,
    drawn: u8,
}

impl Bench {
    fn new(servers: u8) -> Self {
        let now = Instant::now();
        let mut sut = Nearness::default();
        for id in 0..servers {
            sut.add(ServerId(id), &[(SocketId(0), addr(id, 13000))], now);
        }
        let (start, drawn) = (now, 0);
        Self {
            sut,
            start,
            now,
            drawn,
        }
    }

    /// What is to be sent now.
    fn sent(&mut self) -> Vec<(Post, Vec<u8>)> {
        let drawn = &mut self.drawn;
        let mut random = || {
            *drawn += 1;
            [*drawn; 12]
        };
        self.sut.handle_timeout(&mut random, self.now);
        std::iter::from_fn(|| self.sut.poll_transmit()).collect()
    }

    fn answer(&mut self, (post, request): &(Post, Vec<u8>)) -> bool {
        let answer = stun::answer_binding(request, addr(9, 9)).unwrap();
        self.sut.handle_datagram(*post, &answer, self.now)
    }

    /// Runs to the next deadline.
    fn next(&mut self) -> Duration {
        self.now = self.sut.poll_timeout().expect("a timer is armed");
        self.elapsed()
    }

    fn events(&mut self) -> Vec<(u8, Option<Duration>)> {
        let events = std::iter::from_fn(|| self.sut.poll_event());
        events.map(|found| (found.server.0, found.rtt)).collect()
    }

    fn elapsed(&self) -> Duration {
        self.now - self.start
    }
}

fn addr(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], port))
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
