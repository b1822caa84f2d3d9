//! What each interruption cost: of what was sent between two beginnings, what was not there at the
//! second.

/// From one moment at which the receiver has said what it has, to the next or the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Bytes of the file that the receiver had at its beginning.
    pub(super) had: u64,
    /// Bytes that were sent when that was seen.
    pub(super) sent: u64,
    /// Bytes that were sent when it was surely not said yet: on a busy machine we look late.
    pub(super) before: u64,
    /// What was done to the transfer in it.
    pub(super) acts: u32,
}

/// What the interruptions of a transfer cost, bytes of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) all: u64,
    /// Of the dearest interruption; of those of one stretch the mean.
    pub(super) most: u64,
    /// What that has cost at least, however late we looked.
    pub(super) surely: u64,
}

/// Of a file of `bytes` that took `sent` in all, where it takes `ratio` bytes on the wire for one.
pub(super) fn cost(stretches: &[Stretch], bytes: u64, sent: u64, ratio: f64) -> Cost {
    let ends = stretches.iter().skip(1);
    let ends = ends.map(|next| (next.had, next.sent, next.before));
    let ends = ends.chain([(bytes, sent, sent)]);
    let mut cost = Cost::default();
    for (stretch, (had, sent, before)) in stretches.iter().zip(ends) {
        let lost = |sent: u64| {
            let went = sent.saturating_sub(stretch.sent) as f64 / ratio;
            let stayed = had as f64 - stretch.had as f64;
            (went - stayed).max(0.0) as u64 / u64::from(stretch.acts.max(1))
        };
        cost.most = cost.most.max(lost(sent));
        cost.surely = cost.surely.max(lost(before));
    }
    cost.all = (sent as f64 / ratio - bytes as f64).max(0.0) as u64;
    cost
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(had: u64, sent: u64, acts: u32) -> Stretch {
        let before = sent.saturating_sub(15);
        Stretch {
            had,
            sent,
            before,
            acts,
        }
    }

    #[test]
    fn what_was_sent_and_is_not_there_counts_for_the_interruption_before() {
        // 1,000 bytes, each of which takes 1.5 on the wire.
        let stretches = [
            stretch(0, 0, 1),
            stretch(300, 600, 2),
            stretch(900, 1575, 0),
        ];
        let expected = Cost {
            all: 150,
            most: 100,
            surely: 90,
        };
        assert_eq!(cost(&stretches, 1000, 1725, 1.5), expected);
    }

    #[test]
    fn two_interruptions_of_one_stretch_share_what_it_lost() {
        let cost = cost(&[stretch(0, 0, 2), stretch(100, 200, 0)], 1000, 1100, 1.0);
        assert_eq!((cost.all, cost.most), (100, 50));
    }

    #[test]
    fn a_transfer_that_nothing_interrupts_costs_nothing() {
        assert_eq!(cost(&[stretch(0, 0, 0)], 1000, 1050, 1.05), Cost::default());
    }
}
