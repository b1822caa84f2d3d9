//! Asks STUN servers where our sockets are seen from: whoami, server-reflexive candidates, and
//! whether the mapping depends on the destination.
//!
//! A machine without I/O: [`start`](Reflexive::start) a round, drain
//! [`poll_transmit`](Reflexive::poll_transmit), feed answers and time. A round ends when every
//! target has answered or was asked [`ATTEMPTS`] times.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gimlet_proto::candidate::{Allocation, Behaviour, NatClass};
use gimlet_proto::stun::{self, TransactionId};
use gimlet_proto::traversal::SocketId;

/// Times a target is asked in one round. With [`FIRST_RETRY`] doubling, a round takes 1.5 s at most,
/// and 2 % loss leaves one in several million unanswered.
const ATTEMPTS: u32 = 4;

/// Gap before the first repeat: longer than most round trips to a server.
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// A STUN server's port as one of our sockets asks it.
type Target = (SocketId, SocketAddr);

#[derive(Debug)]
enum State {
    Waiting {
        transaction: TransactionId,
        attempt: u32,
        repeat_at: Instant,
    },
    Answered {
        mapped: SocketAddr,
    },
    Silent,
}

/// See the [module docs](self).
#[derive(Debug, Default)]
pub(crate) struct Reflexive {
    targets: BTreeMap<Target, State>,
    transmits: VecDeque<(Target, Vec<u8>)>,
}

impl Reflexive {
    /// Asks `targets`, and forgets what others said. `random` draws transaction ids.
    pub(crate) fn start(
        &mut self,
        targets: impl IntoIterator<Item = Target>,
        random: &mut impl FnMut() -> [u8; 12],
        now: Instant,
    ) {
        self.targets.clear();
        self.transmits.clear();
        for target in targets {
            self.ask(target, 1, TransactionId(random()), now);
        }
    }

    /// Whether a round is under way.
    pub(crate) fn is_running(&self) -> bool {
        self.targets
            .values()
            .any(|state| matches!(state, State::Waiting { .. }))
    }

    /// Feeds a datagram from `remote`; false when it is not an answer to us.
    pub(crate) fn handle_datagram(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        datagram: &[u8],
    ) -> bool {
        let Some(state) = self.targets.get_mut(&(socket, remote)) else {
            return false;
        };
        let State::Waiting { transaction, .. } = *state else {
            return false;
        };
        match stun::decode_binding_response(datagram) {
            Some(response) if response.transaction == transaction => {
                *state = State::Answered {
                    mapped: response.mapped,
                };
                true
            }
            Some(_) | None => false,
        }
    }

    /// Advances time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let due: Vec<_> = self
            .targets
            .iter()
            .filter_map(|(&target, state)| match *state {
                State::Waiting {
                    transaction,
                    attempt,
                    repeat_at,
                } if repeat_at <= now => Some((target, transaction, attempt)),
                State::Waiting { .. } | State::Answered { .. } | State::Silent => None,
            })
            .collect();
        for (target, transaction, attempt) in due {
            if attempt < ATTEMPTS {
                self.ask(target, attempt + 1, transaction, now);
            } else {
                self.targets.insert(target, State::Silent);
            }
        }
    }

    /// The next request to send, if any.
    pub(crate) fn poll_transmit(&mut self) -> Option<(Target, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must next be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let repeat_at = |state: &State| match *state {
            State::Waiting { repeat_at, .. } => Some(repeat_at),
            State::Answered { .. } | State::Silent => None,
        };
        self.targets.values().filter_map(repeat_at).min()
    }

    /// What was seen, a socket and address each, without doubles.
    pub(crate) fn mapped(&self) -> Vec<(SocketId, SocketAddr)> {
        let mut mapped: Vec<_> = self
            .answers()
            .map(|((socket, _), seen)| (socket, seen))
            .collect();
        mapped.sort_unstable();
        mapped.dedup();
        mapped
    }

    /// What the answers over IPv4 say about the NAT; `local` are our own addresses per socket.
    pub(crate) fn nat(&self, local: &[(SocketId, SocketAddr)]) -> NatClass {
        let seen: Vec<_> = self.answers().filter(|(_, seen)| seen.is_ipv4()).collect();
        let Some(&((socket, _), first)) = seen.first() else {
            return NatClass::default();
        };
        let of_socket: Vec<_> = seen.iter().filter(|((s, _), _)| *s == socket).collect();
        let same = of_socket.iter().all(|(_, mapped)| *mapped == first);
        let own = local.contains(&(socket, first));
        let kept = local
            .iter()
            .any(|&(s, addr)| s == socket && addr.port() == first.port());
        NatClass {
            mapping: match (own, same, of_socket.len()) {
                (true, true, _) | (_, true, 2..) => Some(Behaviour::EndpointIndependent),
                (_, false, _) => Some(Behaviour::AddressAndPortDependent),
                (false, true, _) => None,
            },
            allocation: (own || (kept && same)).then_some(Allocation::Preserving),
            ..NatClass::default()
        }
    }

    fn answers(&self) -> impl Iterator<Item = (Target, SocketAddr)> {
        self.targets
            .iter()
            .filter_map(|(&target, state)| match *state {
                State::Answered { mapped } => Some((target, mapped)),
                State::Waiting { .. } | State::Silent => None,
            })
    }

    fn ask(&mut self, target: Target, attempt: u32, transaction: TransactionId, now: Instant) {
        let repeat_at = now + FIRST_RETRY * (1 << (attempt - 1));
        self.targets.insert(
            target,
            State::Waiting {
                transaction,
                attempt,
                repeat_at,
            },
        );
        self.transmits
            .push_back((target, stun::encode_binding_request(transaction)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKET: SocketId = SocketId(0);

    #[test]
    fn equal_answers_from_two_ports_mean_endpoint_independent_mapping() {
        let mut t = Bench::new();
        t.answer_all(|_| addr("198.51.100.7:40000"));
        assert!(!t.sut.is_running());
        let nat = t.sut.nat(&[(SOCKET, addr("10.0.0.2:7000"))]);
        assert_eq!(nat.mapping, Some(Behaviour::EndpointIndependent));
        assert_eq!(nat.allocation, None);
        assert_eq!(t.sut.mapped(), [(SOCKET, addr("198.51.100.7:40000"))]);
    }

    #[test]
    fn different_answers_mean_dependent_mapping() {
        let mut t = Bench::new();
        t.answer_all(|target| SocketAddr::new(addr("198.51.100.7:1").ip(), target.port() + 1));
        let nat = t.sut.nat(&[]);
        assert_eq!(nat.mapping, Some(Behaviour::AddressAndPortDependent));
        assert_eq!(t.sut.mapped().len(), 2);
    }

    #[test]
    fn one_answer_says_nothing_about_mapping_unless_it_is_our_own_address() {
        let mut t = Bench::new();
        let (target, request) = t.sut.poll_transmit().unwrap();
        t.answer(target, &request, addr("198.51.100.7:7000"));
        t.run_out();
        assert_eq!(t.sut.nat(&[(SOCKET, addr("10.0.0.2:7000"))]).mapping, None);
        let nat = t.sut.nat(&[(SOCKET, addr("198.51.100.7:7000"))]);
        assert_eq!(nat.mapping, Some(Behaviour::EndpointIndependent));
        assert_eq!(nat.allocation, Some(Allocation::Preserving));
    }

    #[test]
    fn a_silent_server_is_asked_four_times_in_a_second_and_a_half() {
        let mut t = Bench::new();
        let asked = t.run_out();
        assert_eq!(asked, 2 * ATTEMPTS as usize);
        assert_eq!(t.now - t.start, Duration::from_millis(1500));
    }

    #[test]
    fn answers_from_elsewhere_or_to_nothing_asked_are_ignored() {
        let mut t = Bench::new();
        let (target, request) = t.sut.poll_transmit().unwrap();
        let forged = stun::answer_binding(&request, addr("6.6.6.6:6")).unwrap();
        assert!(!t.sut.handle_datagram(SOCKET, addr("192.0.2.99:1"), &forged));
        let other = stun::encode_binding_request(TransactionId([0xee; 12]));
        let other = stun::answer_binding(&other, addr("6.6.6.6:6")).unwrap();
        assert!(!t.sut.handle_datagram(SOCKET, target.1, &other));
        assert!(t.sut.mapped().is_empty());
    }

    struct Bench {
        sut: Reflexive,
        start: Instant,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let now = Instant::now();
            let mut sut = Reflexive::default();
            let mut n = 0;
            let mut random = || {
                n += 1;
                [n; 12]
            };
            let targets = ["203.0.113.1:3478", "203.0.113.1:3479"].map(|t| (SOCKET, addr(t)));
            sut.start(targets, &mut random, now);
            Self {
                sut,
                start: now,
                now,
            }
        }

        fn answer(&mut self, (socket, remote): Target, request: &[u8], seen: SocketAddr) {
            let answer = stun::answer_binding(request, seen).unwrap();
            assert!(self.sut.handle_datagram(socket, remote, &answer));
        }

        fn answer_all(&mut self, seen: impl Fn(SocketAddr) -> SocketAddr) {
            while let Some((target, request)) = self.sut.poll_transmit() {
                self.answer(target, &request, seen(target.1));
            }
        }

        /// Lets time pass without answers; returns how many requests were sent.
        fn run_out(&mut self) -> usize {
            let mut sent = 0;
            loop {
                while self.sut.poll_transmit().is_some() {
                    sent += 1;
                }
                let Some(at) = self.sut.poll_timeout() else {
                    return sent;
                };
                self.now = at;
                self.sut.handle_timeout(at);
            }
        }
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }
}
