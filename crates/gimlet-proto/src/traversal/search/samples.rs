//! Which ports a NAT gave to fresh sockets, and what it will give next.

use std::net::{IpAddr, SocketAddr};

use super::ports::{LOWEST, ahead};
use crate::candidate::Allocation;
use crate::hint::Ports;

/// Steps between two mappings of a sequence that are believed: larger ones look like chance.
const MAX_STEP: i32 = 16;

/// What the owner of a session knows of its NAT's ports, from behaviour discovery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PortKnowledge {
    /// From one mapping to the next, where ports are sequential.
    pub step: Option<i16>,
    /// The range that all samples fell into, where it is narrower than all ports.
    pub block: Option<(u16, u16)>,
    /// Whether the mapping was seen from two addresses of a server. From one, a mapping for each
    /// address looks like one for all.
    pub exact: bool,
}

/// What a side with this allocation can be told to come from. `seen` are the outside endpoints of
/// its samples, in the order the samples were sent.
pub(super) fn ports_of(
    allocation: Option<Allocation>,
    known: PortKnowledge,
    seen: &[SocketAddr],
) -> Ports {
    let Some(last) = seen.last() else {
        return Ports::Unknown;
    };
    let ip = last.ip();
    match allocation {
        Some(Allocation::Sequential) => sequence(ip, known, seen),
        None if seen.len() > 2 => sequence(ip, known, seen),
        Some(Allocation::RandomBlock) => match known.block {
            Some((first, last)) if first <= last => Ports::Range { ip, first, last },
            Some(_) | None => everywhere(ip),
        },
        // Preserved ports collide with others' now and then; more cannot be told.
        Some(Allocation::Random | Allocation::Preserving) | None => everywhere(ip),
    }
}

fn everywhere(ip: IpAddr) -> Ports {
    Ports::Range {
        ip,
        first: LOWEST,
        last: u16::MAX,
    }
}

/// The sequence that goes through the samples: its step is the smallest distance between two
/// neighbours, and what is left of each distance others took.
fn sequence(ip: IpAddr, known: PortKnowledge, seen: &[SocketAddr]) -> Ports {
    let gaps: Vec<i32> = seen
        .windows(2)
        .map(|pair| i32::from(pair[1].port()) - i32::from(pair[0].port()))
        .collect();
    let step = match known.step {
        Some(step) if step != 0 => i32::from(step),
        _ => gaps
            .iter()
            .copied()
            .min_by_key(|gap| gap.abs())
            .unwrap_or(1),
    };
    let fits = |gap: &i32| gap.signum() == step.signum() && gap.abs() <= 16 * step.abs();
    // One wrap around the end of the range is no reason to give up.
    let strange = gaps.iter().filter(|gap| !fits(gap)).count();
    if step == 0 || step.abs() > MAX_STEP || strange > 1 {
        return everywhere(ip);
    }
    let taken = gaps
        .iter()
        .filter(|gap| fits(gap))
        .map(|gap| (gap.abs() / step.abs()).saturating_sub(1))
        .max();
    let last = seen.last().map_or(0, SocketAddr::port);
    let step = step as i16;
    Ports::Sequence {
        ip,
        next: ahead(last, step, 1),
        step,
        drift: taken.unwrap_or(0).clamp(0, 64) as u16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ports: &[u16]) -> Vec<SocketAddr> {
        let endpoint = |&port: &u16| SocketAddr::from(([203, 0, 113, 1], port));
        ports.iter().map(endpoint).collect()
    }

    fn told(ports: &[u16]) -> Ports {
        let known = PortKnowledge::default();
        ports_of(Some(Allocation::Sequential), known, &seen(ports))
    }

    #[test]
    fn a_sequence_is_continued_and_what_others_took_is_its_drift() {
        let ip = "203.0.113.1".parse().unwrap();
        let sequence = |next, step, drift| Ports::Sequence {
            ip,
            next,
            step,
            drift,
        };
        assert_eq!(told(&[4000, 4001, 4002]), sequence(4003, 1, 0));
        assert_eq!(told(&[4000, 4003, 4004]), sequence(4005, 1, 2));
        assert_eq!(told(&[4000, 3998, 3996]), sequence(3994, -2, 0));
        assert_eq!(told(&[65534, 65535, 1024]), sequence(1025, 1, 0));
    }

    #[test]
    fn what_is_no_sequence_after_all_is_searched_for_everywhere() {
        assert!(matches!(told(&[4000, 61000, 9000]), Ports::Range { .. }));
    }

    #[test]
    fn a_block_is_told_as_it_is_known() {
        let known = PortKnowledge {
            block: Some((2048, 3071)),
            ..PortKnowledge::default()
        };
        let told = ports_of(Some(Allocation::RandomBlock), known, &seen(&[2100]));
        assert!(matches!(
            told,
            Ports::Range {
                first: 2048,
                last: 3071,
                ..
            }
        ));
    }

    #[test]
    fn without_a_sample_nothing_can_be_told() {
        assert_eq!(told(&[]), Ports::Unknown);
    }
}
