//! Which chunks of a file to ask for.

use std::collections::BTreeMap;

use crate::files::hash::{self, Digest};
use crate::files::wire::MAX_RANGES;

/// The chunks that are not there, as ranges; where there are too many, the last has the rest.
pub(super) fn missing(size: u64, digests: &BTreeMap<u32, Digest>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    let mut next = 0;
    for end in digests.keys().copied().chain([hash::chunks(size)]) {
        if end > next {
            ranges.push((next, end - next));
        }
        next = end + 1;
    }
    if ranges.len() > MAX_RANGES {
        let from = ranges[MAX_RANGES - 1].0;
        ranges.truncate(MAX_RANGES - 1);
        ranges.push((from, hash::chunks(size) - from));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::hash::CHUNK;

    #[test]
    fn what_is_missing_is_asked_for_in_few_ranges() {
        let of = |chunks: &[u32]| chunks.iter().map(|chunk| (*chunk, [0; 32])).collect();
        let size = 6 * u64::from(CHUNK);
        assert_eq!(missing(size, &of(&[])), [(0, 6)]);
        assert_eq!(missing(size, &of(&[0, 1, 4])), [(2, 2), (5, 1)]);
        assert_eq!(missing(size, &of(&[5])), [(0, 5)]);
        assert!(missing(size, &of(&[0, 1, 2, 3, 4, 5])).is_empty());
        let odd: Vec<u32> = (0..2000).map(|n| 2 * n).collect();
        let ranges = missing(4001 * u64::from(CHUNK), &of(&odd));
        assert_eq!(ranges.len(), MAX_RANGES);
        assert_eq!(ranges[0], (1, 1));
        assert_eq!(ranges[MAX_RANGES - 1], (511, 4001 - 511));
    }
}
