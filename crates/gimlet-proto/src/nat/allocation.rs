//! Port allocation from samples: which outside ports fresh mappings got, in the order of their making.

/// Outside port of one new mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Samples of one series were taken one after the other; between two series more may lie.
    pub series: u8,
    /// How many mappings of ours in this series were made before.
    pub nth: u32,
    /// Whether that is certain: it is not where a request had to be repeated.
    pub ordered: bool,
    /// The inside port.
    pub inside: u16,
    /// Whether it is this inside port's first mapping. Only that can be preserved.
    pub first: bool,
    /// The outside port.
    pub outside: u16,
}

/// How outside ports are chosen (RFC 4787 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// As the inside port.
    Preserving,
    /// One after the other.
    Sequential {
        /// From one to the next; not 0.
        step: i16,
        /// Steps that others took between two samples, at most.
        drift: u16,
        /// What the next mapping would have got after the last sample.
        next: u16,
    },
    /// Anywhere.
    Random,
    /// Anywhere between two ports, both included.
    Block {
        /// The lowest.
        first: u16,
        /// The highest.
        last: u16,
    },
}

/// Fewest samples that say anything.
const MIN_SAMPLES: usize = 3;

/// Largest distance, in ports, of two sequential mappings made at once. Other hosts' mappings come
/// between; with more of them no prediction would help.
const MAX_DISTANCE: i32 = 64;

/// A jump by more than this against the direction is the sequence starting over.
const WRAP: i32 = 16_384;

/// Largest block that is told from no block at all. Carriers give 64 to 4,096.
const MAX_BLOCK: i32 = 16_384;

/// How often random ports may be taken for a block: one NAT in ten thousand. Its search is in vain then.
const FALSE_BLOCKS: f64 = 1e-4;

/// Ports below belong to services and are not given to mappings; blocks are counted from here.
const FIRST_PORT: i32 = 1024;

/// Says how ports are allocated; `None` with too few samples.
pub fn classify(samples: &[Sample]) -> Option<Pattern> {
    let firsts = samples.iter().filter(|sample| sample.first);
    let kept = firsts.clone().filter(|s| s.inside == s.outside).count();
    // A port in use is replaced by another: so not all of them.
    if kept > 0 && 4 * kept >= 3 * firsts.count() {
        return Some(Pattern::Preserving);
    }
    if samples.len() < MIN_SAMPLES {
        return None;
    }
    sequential(samples).or_else(|| Some(block(samples).unwrap_or(Pattern::Random)))
}

/// Whether more samples may show a block that these don't yet, or where it ends.
pub fn may_be_block(samples: &[Sample]) -> bool {
    let ends = ends(samples);
    samples.len() >= MIN_SAMPLES && ends.is_some_and(|(low, high)| high - low < MAX_BLOCK)
}

fn sequential(samples: &[Sample]) -> Option<Pattern> {
    let mut ordered: Vec<_> = samples.iter().filter(|sample| sample.ordered).collect();
    ordered.sort_by_key(|sample| (sample.series, sample.nth));
    // (ports, mappings of ours) from each sample to the next.
    let mut distances: Vec<(i32, i32)> = ordered
        .windows(2)
        .filter(|pair| pair[0].series == pair[1].series)
        .map(|pair| {
            let ports = i32::from(pair[1].outside) - i32::from(pair[0].outside);
            (ports, pair[1].nth as i32 - pair[0].nth as i32)
        })
        .collect();
    if distances.len() >= 3 {
        let wrapped = distances.iter().position(|(ports, _)| ports.abs() > WRAP);
        wrapped.map(|at| distances.remove(at));
    }
    let (&(ports, _), sign) = (distances.first()?, distances.first()?.0.signum());
    let near =
        |&(ports, ours): &(i32, i32)| ports.signum() == sign && ports.abs() <= MAX_DISTANCE * ours;
    if distances.len() + 1 < MIN_SAMPLES || ports == 0 || !distances.iter().all(near) {
        return None;
    }
    let common = distances
        .iter()
        .fold(0, |gcd, &(ports, _)| divisor(gcd, ports.abs()));
    let most = distances
        .iter()
        .map(|&(ports, ours)| ports.abs() / ours)
        .min()?;
    let step = (1..=common.min(most))
        .rev()
        .find(|step| common % step == 0)?;
    let drift = distances
        .iter()
        .map(|&(ports, ours)| ports.abs() / step - ours)
        .max()?;
    let step = i16::try_from(sign * step).ok()?;
    Some(Pattern::Sequential {
        step,
        drift: u16::try_from(drift).ok()?,
        next: ordered.last()?.outside.wrapping_add_signed(step),
    })
}

/// Too close together for chance. The block is the smallest power of two that holds them all, counted
/// from port 1,024 as carriers do; or if that is far too wide, the samples with a margin.
fn block(samples: &[Sample]) -> Option<Pattern> {
    let (low, high) = ends(samples)?;
    let n = samples.len() as i32;
    let range = f64::from(high - low + 1) / f64::from(65_536 - FIRST_PORT);
    if f64::from(n) * range.powi(n - 1) > FALSE_BLOCKS {
        return None;
    }
    let margin = 2 * (high - low) / (n - 1) + 1;
    let padded = (
        (low - margin).max(FIRST_PORT.min(low)),
        (high + margin).min(65_535),
    );
    let number = |port: i32, size: i32| (port - FIRST_PORT).div_euclid(size);
    let aligned = (6..=14)
        .map(|bits| 1 << bits)
        .find(|&size| low >= FIRST_PORT && number(low, size) == number(high, size))
        .map(|size| {
            let first = FIRST_PORT + number(low, size) * size;
            (first, (first + size - 1).min(65_535))
        });
    let width = |(first, last): (i32, i32)| last - first;
    let (first, last) = match aligned {
        Some(aligned) if width(aligned) <= 2 * width(padded) => aligned,
        Some(_) | None => padded,
    };
    Some(Pattern::Block {
        first: u16::try_from(first).ok()?,
        last: u16::try_from(last).ok()?,
    })
}

fn ends(samples: &[Sample]) -> Option<(i32, i32)> {
    let ports = || samples.iter().map(|sample| i32::from(sample.outside));
    Some((ports().min()?, ports().max()?))
}

fn divisor(a: i32, b: i32) -> i32 {
    match b {
        0 => a,
        _ => divisor(b, a % b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of fresh sockets, one series, in order.
    fn samples(outside: &[u16]) -> Vec<Sample> {
        let one = |(nth, &outside): (usize, &u16)| Sample {
            series: 0,
            nth: nth as u32,
            ordered: true,
            inside: 50_000 + nth as u16,
            first: true,
            outside,
        };
        outside.iter().enumerate().map(one).collect()
    }

    fn sequential(step: i16, drift: u16, next: u16) -> Option<Pattern> {
        Some(Pattern::Sequential { step, drift, next })
    }

    #[test]
    fn each_pattern_is_recognized() {
        for (ports, expected) in [
            (
                &[50_000, 50_001, 50_002, 50_003][..],
                Some(Pattern::Preserving),
            ),
            (&[50_000, 50_001, 50_002, 9_999], Some(Pattern::Preserving)),
            (&[4_000, 4_001, 4_002, 4_003], sequential(1, 0, 4_004)),
            (&[4_000, 4_002, 4_004, 4_006], sequential(2, 0, 4_008)),
            (&[4_006, 4_004, 4_002, 4_000], sequential(-2, 0, 3_998)),
            (&[4_000, 4_003, 4_004, 4_009], sequential(1, 4, 4_010)),
            (&[4_000, 4_004, 4_006, 4_008], sequential(2, 1, 4_010)),
            (
                &[65_534, 65_535, 1_024, 1_025, 1_026],
                sequential(1, 0, 1_027),
            ),
            (&[9_000, 41_000, 3_000, 60_000], Some(Pattern::Random)),
            (&[4_000, 4_001], None),
            (&[], None),
        ] {
            assert_eq!(classify(&samples(ports)), expected, "{ports:?}");
        }
    }

    #[test]
    fn a_missing_sample_does_not_double_the_step() {
        let mut of_two = samples(&[4_000, 4_002, 4_004, 4_006]);
        of_two.iter_mut().for_each(|sample| sample.nth *= 2);
        assert_eq!(classify(&of_two), sequential(1, 0, 4_007));
    }

    #[test]
    fn a_sample_out_of_order_is_left_out_of_the_sequence() {
        let mut late = samples(&[4_000, 4_005, 4_002, 4_003]);
        late[1].ordered = false;
        assert_eq!(classify(&late), sequential(1, 0, 4_004));
    }

    #[test]
    fn a_block_is_found_with_its_bounds_and_its_absence_too() {
        let mut state = 9u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((u64::from(state) * u64::from(below)) >> 32) as u16
        };
        let mut right = 0;
        for _ in 0..1_000 {
            let ports: Vec<u16> = (0..13).map(|_| 1_024 + 7 * 1_024 + random(1_024)).collect();
            let ports = samples(&ports);
            assert!(may_be_block(&ports));
            match classify(&ports) {
                Some(Pattern::Block { first, last }) => {
                    assert!(ports.iter().all(|s| (first..=last).contains(&s.outside)));
                    right += u32::from((first, last) == (8_192, 9_215));
                }
                other => panic!("{other:?}"),
            }
            let anywhere: Vec<u16> = (0..13).map(|_| 1_024 + random(64_512)).collect();
            assert_eq!(classify(&samples(&anywhere)), Some(Pattern::Random));
        }
        assert!(right >= 990, "{right} of 1,000");
    }
}
