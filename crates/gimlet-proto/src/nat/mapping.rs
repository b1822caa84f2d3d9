//! Mapping behaviour from where several endpoints see one socket.

use std::net::SocketAddr;

use super::Slot;
use crate::candidate::Behaviour;

/// One answer: who sees which socket where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The socket.
    pub slot: Slot,
    /// The server endpoint that was asked.
    pub server: SocketAddr,
    /// Where it sees the socket.
    pub mapped: SocketAddr,
}

/// The mapping behaviour, and whether two server addresses were compared for it.
///
/// Two ports of one address can't tell address-dependent from endpoint-independent: then it says
/// endpoint-independent, which nearly always is so. Two addresses without two ports can't tell
/// address-dependent from address-and-port-dependent: then it says the latter, which is safe.
pub fn mapping(seen: &[Seen]) -> (Option<Behaviour>, bool) {
    let pairs = || {
        seen.iter().enumerate().flat_map(|(nth, a)| {
            let later = seen[nth + 1..].iter().filter(|b| b.slot == a.slot);
            later.map(move |b| (a, b, a.mapped == b.mapped))
        })
    };
    let ports = || pairs().filter(|(a, b, _)| a.server.ip() == b.server.ip());
    let addresses = || pairs().filter(|(a, b, _)| a.server.ip() != b.server.ip());
    let two_addresses = addresses().next().is_some();
    let behaviour = if ports().any(|(_, _, same)| !same) {
        Some(Behaviour::AddressAndPortDependent)
    } else if addresses().any(|(_, _, same)| !same) {
        Some(match ports().next() {
            Some(_) => Behaviour::AddressDependent,
            None => Behaviour::AddressAndPortDependent,
        })
    } else {
        pairs().next().map(|_| Behaviour::EndpointIndependent)
    };
    (behaviour, two_addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(answers: &[(&str, u16)]) -> Vec<Seen> {
        let one = |&(server, port): &(&str, u16)| Seen {
            slot: Slot::Fresh(0),
            server: server.parse().unwrap(),
            mapped: SocketAddr::from(([203, 0, 113, 1], port)),
        };
        answers.iter().map(one).collect()
    }

    #[test]
    fn each_behaviour_shows_by_what_differs() {
        use Behaviour::*;
        let (a, b, c, d) = ("192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1", "192.0.2.2:2");
        for (answers, behaviour, exact) in [
            (&[][..], None, false),
            (&[(a, 7)], None, false),
            (&[(a, 7), (b, 7)], Some(EndpointIndependent), false),
            (&[(a, 7), (c, 7)], Some(EndpointIndependent), true),
            (&[(a, 7), (b, 8)], Some(AddressAndPortDependent), false),
            (&[(a, 7), (c, 8)], Some(AddressAndPortDependent), true),
            (
                &[(a, 7), (b, 7), (c, 8), (d, 8)],
                Some(AddressDependent),
                true,
            ),
            (
                &[(a, 7), (b, 9), (c, 8), (d, 6)],
                Some(AddressAndPortDependent),
                true,
            ),
        ] {
            assert_eq!(mapping(&seen(answers)), (behaviour, exact), "{answers:?}");
        }
    }

    #[test]
    fn sockets_are_not_compared_with_each_other() {
        let mut answers = seen(&[("192.0.2.1:1", 7), ("192.0.2.1:2", 8)]);
        answers[1].slot = Slot::Fresh(1);
        assert_eq!(mapping(&answers), (None, false));
    }
}
