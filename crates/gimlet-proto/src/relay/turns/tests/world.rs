//! A shard in virtual time: senders, the system's queues, and a processor that is not always there.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::super::Turns;
use crate::relay::heavy::{Heavy, Use};
use crate::relay::runs::cost;

pub(super) const SENDERS: usize = 20;

/// What the shard can do in a second, in the cost of sending.
pub(super) const CAPACITY: f64 = 1e9;

/// What happened is told by steps of this length.
pub(super) const STEP: f64 = 0.05;

/// What the system's receive buffer holds, of the system's own memory; that of one sender half as much.
const BUFFER: u64 = 8 << 20;

/// What the system needs for a batch besides its bytes.
const PER_BUFFER: u64 = 768;

/// Batches taken in one turn.
const AT_ONCE: usize = 4;

#[derive(Clone, Copy)]
pub(super) struct Sender {
    /// Cost a second.
    pub(super) rate: f64,
    /// In a batch, and bytes of each.
    pub(super) datagrams: u64,
    pub(super) size: u64,
}

impl Sender {
    fn bytes(self) -> u64 {
        self.datagrams * self.size
    }

    fn cost(self) -> u64 {
        cost(self.datagrams, self.bytes())
    }

    fn memory(self) -> u64 {
        self.bytes() + PER_BUFFER
    }
}

/// After so many seconds of work the processor is somebody else's, for so many.
#[derive(Clone, Copy)]
pub(super) struct Absence {
    pub(super) after: f64,
    pub(super) span: f64,
}

pub(super) const NEVER: Absence = Absence {
    after: f64::INFINITY,
    span: 0.0,
};

/// Cost sent by each sender, and cost that came out.
pub(super) struct Played {
    pub(super) offered: Vec<[f64; SENDERS]>,
    pub(super) passed: Vec<[f64; SENDERS]>,
}

pub(super) fn play(senders: &[Sender], seconds: f64, absence: Absence) -> Played {
    let mut world = World::new(senders, seconds);
    let mut leaves_at = absence.after;
    while world.at < seconds {
        if world.at >= leaves_at {
            world.at += absence.span;
            leaves_at = world.at + absence.after;
        }
        world.arrive();
        world.turn();
    }
    world.played
}

#[derive(Default)]
struct Queue {
    batches: VecDeque<usize>,
    memory: u64,
}

struct World<'a> {
    senders: &'a [Sender],
    began: Instant,
    at: f64,
    next: Vec<f64>,
    shared: Queue,
    own: HashMap<usize, Queue>,
    heavy: Heavy,
    uses: Vec<Use>,
    turns: Turns,
    played: Played,
}

impl<'a> World<'a> {
    fn new(senders: &'a [Sender], seconds: f64) -> Self {
        let began = Instant::now();
        let steps = vec![[0.0; SENDERS]; (seconds / STEP).round() as usize];
        Self {
            senders,
            began,
            at: 0.0,
            next: (0..senders.len()).map(|n| n as f64 * 1e-6).collect(),
            shared: Queue::default(),
            own: HashMap::new(),
            heavy: Heavy::new(began),
            uses: vec![Use::default(); senders.len()],
            turns: Turns::default(),
            played: Played {
                offered: steps.clone(),
                passed: steps,
            },
        }
    }

    fn now(&self) -> Instant {
        self.began + Duration::from_secs_f64(self.at)
    }

    /// What has come since, as far as queues have room.
    fn arrive(&mut self) {
        loop {
            let soonest = |a: &usize, b: &usize| self.next[*a].total_cmp(&self.next[*b]);
            let who = (0..self.senders.len()).min_by(soonest);
            let who = who.expect("somebody sends");
            if self.next[who] > self.at {
                return;
            }
            let sender = self.senders[who];
            let step = (self.next[who] / STEP) as usize;
            if let Some(offered) = self.played.offered.get_mut(step) {
                offered[who] += sender.cost() as f64;
            }
            self.next[who] += sender.cost() as f64 / sender.rate;
            let (queue, room) = match self.own.get_mut(&who) {
                Some(own) => (own, BUFFER / 2),
                None => (&mut self.shared, BUFFER),
            };
            if queue.memory + sender.memory() <= room {
                queue.memory += sender.memory();
                queue.batches.push_back(who);
            }
        }
    }

    /// Takes from one queue, as a pump does.
    fn turn(&mut self) {
        while let Some(id) = self.turns.owed() {
            if !self.own[&(id as usize)].batches.is_empty() {
                return self.serve(Some(id as usize));
            }
            self.turns.empty(id);
        }
        if !self.shared.batches.is_empty() {
            return self.serve(None);
        }
        let is_waiting = |who: &usize| !self.own[who].batches.is_empty();
        let mut rest = self.turns.rest(self.now()).map(|id| id as usize);
        if let Some(who) = rest.find(is_waiting) {
            drop(rest);
            return self.serve(Some(who));
        }
        drop(rest);
        let held = self.turns.held(self.now());
        let held = held.map(|until| (until - self.began).as_secs_f64() + 1e-9);
        let next = self.next.iter().copied().chain(held);
        self.at = next.fold(f64::INFINITY, f64::min);
    }

    /// What is done about a batch of the shared queue.
    fn judge(&mut self, who: usize) {
        let sender = self.senders[who];
        if self.own.contains_key(&who) {
            self.turns.charge(who as u64, sender.cost());
        }
        let heavy = &mut self.heavy;
        if let Some(used) = heavy.note(&mut self.uses[who], sender.datagrams, sender.bytes())
            && !self.own.contains_key(&who)
        {
            self.own.insert(who, Queue::default());
            self.uses[who].is_apart = true;
            self.heavy.parted();
            self.turns.open(who as u64);
            self.turns.charge(who as u64, used);
        }
    }

    fn serve(&mut self, from: Option<usize>) {
        let now = self.now();
        let queue = match from {
            Some(who) => self.own.get_mut(&who).expect("it was opened"),
            None => &mut self.shared,
        };
        let count = queue.batches.len().min(AT_ONCE);
        let taken: Vec<_> = queue.batches.drain(..count).collect();
        let memory = taken.iter().map(|&who| self.senders[who].memory());
        queue.memory -= memory.sum::<u64>();
        if from.is_none() {
            self.heavy.received(count < AT_ONCE, now);
        }
        let mut cost = 0;
        for who in taken {
            let sender = self.senders[who];
            cost += sender.cost();
            self.at += sender.cost() as f64 / CAPACITY;
            if let Some(passed) = self.played.passed.get_mut((self.at / STEP) as usize) {
                passed[who] += sender.cost() as f64;
            }
            if from.is_none() {
                self.judge(who);
            }
        }
        match from {
            Some(who) => self.turns.own(who as u64, cost),
            None => {
                self.turns.shared(cost, self.heavy.senders());
                if let Some(until) = self.heavy.held_until() {
                    self.turns.hold(until);
                }
            }
        }
    }
}
