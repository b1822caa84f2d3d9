//! What becomes of one code: who may try, and when it is over.
//!
//! # Life-cycle
//!
//! A code is *open* until the first proof is judged, its time is over or it is withdrawn. A right proof
//! makes it *used*, a wrong one *guessed*; neither state is ever left. Any number of exchanges may
//! [begin](Keeper::begin) meanwhile, since beginning one tells nothing; of all their proofs only the
//! first is judged.

use std::time::Instant;

use gimlet::PeerId;

use super::exchange::{Binding, Proof, Proving, Share};
use super::{Code, GO_ON};

/// Why a claimant is turned away; the byte sent is its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum Refusal {
    /// The proof is wrong: these are not the words. The code is spent.
    #[error("the code is wrong, and by that spent; ask for a new one and mind its spelling")]
    Wrong = 1,
    /// Somebody has used the code.
    #[error("the code was used already; ask for a new one, and who else may have had it")]
    Used = 2,
    /// Somebody has guessed wrong.
    #[error("somebody else has tried a wrong code, so this one is spent; ask for a new one")]
    Guessed = 3,
    /// Its time is over.
    #[error("the code's time is over; ask for a new one")]
    Expired = 4,
    /// The claimant does not keep to the protocol.
    #[error("the other side does not understand us; are both of the same version?")]
    Malformed = 5,
    /// Too many try at once.
    #[error("too many try this code at once; try again")]
    Busy = 6,
}

impl Refusal {
    /// The byte that says so.
    pub fn byte(self) -> u8 {
        self as u8
    }

    /// What a byte says; what is not known is malformed.
    pub fn of(byte: u8) -> Option<Self> {
        let all = [
            Self::Wrong,
            Self::Used,
            Self::Guessed,
            Self::Expired,
            Self::Malformed,
            Self::Busy,
        ];
        match byte {
            GO_ON => None,
            byte => Some(
                all.into_iter()
                    .find(|refusal| refusal.byte() == byte)
                    .unwrap_or(Self::Malformed),
            ),
        }
    }
}

/// Keeps one code: answers any number of exchanges, and judges one proof in its life.
#[derive(Debug)]
pub struct Keeper {
    code: Code,
    until: Instant,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Used,
    Guessed,
}

/// An exchange under way; its proof is still to come.
pub struct Judging {
    proving: Proving,
    claimant: PeerId,
}

impl Judging {
    /// Who tries.
    pub fn claimant(&self) -> PeerId {
        self.claimant
    }
}

impl Keeper {
    /// Keeps `code` open until then.
    pub fn new(code: Code, until: Instant) -> Self {
        Self {
            code,
            until,
            state: State::Open,
        }
    }

    /// Begins an exchange with a claimant's share. Ours is for it.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: what to tell the claimant.
    pub fn begin(
        &self,
        binding: &Binding,
        share: &Share,
        now: Instant,
    ) -> Result<(Judging, Share), Refusal> {
        self.check(now)?;
        let answer = Proving::answer(&self.code, binding, share);
        let (proving, share) = answer.map_err(|_| Refusal::Malformed)?;
        let claimant = binding.claimant;
        Ok((Judging { proving, claimant }, share))
    }

    /// Judges a proof: the code's one guess. Ours is for the claimant, which then is the one.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: what to tell the claimant.
    pub fn judge(
        &mut self,
        judging: Judging,
        proof: &Proof,
        now: Instant,
    ) -> Result<Proof, Refusal> {
        self.check(now)?;
        match judging.proving.check_claimant(proof) {
            Some(proof) => {
                self.state = State::Used;
                Ok(proof)
            }
            None => {
                self.state = State::Guessed;
                Err(Refusal::Wrong)
            }
        }
    }

    /// Returns when the code's time is over, if it is open: nothing is to be done then but to say so.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.state == State::Open).then_some(self.until)
    }

    fn check(&self, now: Instant) -> Result<(), Refusal> {
        match self.state {
            State::Used => Err(Refusal::Used),
            State::Guessed => Err(Refusal::Guessed),
            State::Open if now >= self.until => Err(Refusal::Expired),
            State::Open => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::exchange::Claiming;
    use super::*;
    use std::time::Duration;

    const TTL: Duration = Duration::from_secs(600);

    struct Bench {
        sut: Keeper,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let now = Instant::now();
            let code = "7-zoo-clown".parse().unwrap();
            let sut = Keeper::new(code, now + TTL);
            Self { sut, now }
        }

        /// Somebody begins with these words; returns what is left to judge.
        fn begin(&self, text: &str) -> Result<(Judging, Proof), Refusal> {
            let binding = Binding {
                claimant: PeerId::from_bytes([1; 32]),
                offerer: PeerId::from_bytes([2; 32]),
                exporter: [3; 32],
            };
            let (claiming, share) = Claiming::start(&text.parse().unwrap(), binding);
            let (judging, share) = self.sut.begin(&binding, &share, self.now)?;
            let (_, proof) = claiming.handle_share(&share).unwrap();
            Ok((judging, proof))
        }

        fn judge(&mut self, begun: (Judging, Proof)) -> Option<Refusal> {
            self.sut.judge(begun.0, &begun.1, self.now).err()
        }
    }

    #[test]
    fn a_used_code_is_refused_to_everybody_afterwards() {
        let mut t = Bench::new();
        let (first, second) = (t.begin("7-zoo-clown"), t.begin("7-zoo-clown"));
        assert_eq!(t.judge(first.unwrap()), None);
        assert_eq!(t.judge(second.unwrap()), Some(Refusal::Used));
        assert_eq!(t.begin("7-zoo-clown").err(), Some(Refusal::Used));
        assert_eq!(t.sut.poll_timeout(), None);
    }

    #[test]
    fn a_wrong_guess_spends_the_code_for_the_right_one_too() {
        let mut t = Bench::new();
        let (right, wrong) = (t.begin("7-zoo-clown"), t.begin("7-zoo-clock"));
        assert_eq!(t.judge(wrong.unwrap()), Some(Refusal::Wrong));
        assert_eq!(t.judge(right.unwrap()), Some(Refusal::Guessed));
        assert_eq!(t.begin("7-zoo-clown").err(), Some(Refusal::Guessed));
    }

    #[test]
    fn exchanges_that_prove_nothing_cost_nothing() {
        let mut t = Bench::new();
        for _ in 0..10 {
            t.begin("7-zoo-clock").unwrap();
        }
        let right = t.begin("7-zoo-clown").unwrap();
        assert_eq!(t.judge(right), None);
    }

    #[test]
    fn a_code_ends_with_its_time_also_for_who_has_begun() {
        let mut t = Bench::new();
        let begun = t.begin("7-zoo-clown").unwrap();
        assert_eq!(t.sut.poll_timeout(), Some(t.now + TTL));
        t.now += TTL;
        assert_eq!(t.judge(begun), Some(Refusal::Expired));
        assert_eq!(t.begin("7-zoo-clown").err(), Some(Refusal::Expired));
    }

    #[test]
    fn refusals_are_these_bytes() {
        assert_eq!(Refusal::of(0), None);
        let named: Vec<_> = (1..=6).filter_map(Refusal::of).collect();
        assert_eq!(named.len(), 6);
        let bytes: Vec<_> = named.iter().map(|refusal| refusal.byte()).collect();
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6]);
        assert_eq!(Refusal::of(200), Some(Refusal::Malformed));
    }
}
