//! The thread that carries packets between the kernel's ends and the simulator's network.
//!
//! Each end is a TUN device in the namespace of one host. What the kernel sends comes out of it
//! as an IP packet, goes through [`Net`] by the wall clock, and into the TUN of the host that
//! the network delivers it to. Without a virtual network header the kernel cuts batches into
//! single packets before it hands them over, so links see what a wire would.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use gimlet_sim::{Delivery, HostId, Net};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tun_rs::SyncDevice;

use super::packet::{self, Datagram};

/// Packets read from one end before the others get their turn: a burst of a fast sender, and
/// well under a millisecond of work.
const BATCH: usize = 64;
/// Longer than any packet of a link of 1,500 bytes.
const BUFFER: usize = 2_048;
/// How long the thread sleeps when nothing is under way: how late it may notice its end.
const IDLE: Duration = Duration::from_millis(50);

/// One TUN device, and which host's namespace it is in.
pub(super) struct End {
    /// Index into [`Laid::hosts`].
    pub(super) place: usize,
    pub(super) device: SyncDevice,
}

/// The network that is carried at present.
pub(super) struct Laid {
    pub(super) net: Net,
    /// Which host of the network each place is.
    pub(super) hosts: Vec<HostId>,
    /// Which end each place receives by: a place may have several, as a machine may have
    /// several interfaces.
    pub(super) ends: Vec<usize>,
}

/// The running carrier; it stops when dropped.
pub(super) struct Carrier {
    laid: Arc<Mutex<Option<Laid>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It panics only where a test would have to fail anyway.
            let _ = thread.join();
        }
    }
}

impl Carrier {
    /// Starts carrying between `ends`, over no network at first.
    pub(super) fn start(ends: Vec<End>) -> anyhow::Result<Self> {
        for end in &ends {
            end.device.set_nonblocking(true)?;
        }
        let (laid, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::Builder::new().name("carrier".to_owned());
        let thread = {
            let (laid, stop) = (Arc::clone(&laid), Arc::clone(&stop));
            thread.spawn(move || carry(&ends, &laid, &stop))
        };
        Ok(Self {
            laid,
            stop,
            thread: Some(thread.context("the carrier's thread did not start")?),
        })
    }

    /// Carries over another network from now on; what was under way is gone.
    pub(super) fn lay(&self, laid: Laid) {
        *lock(&self.laid) = Some(laid);
    }

    /// Changes or asks the network, between two packets.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Laid) -> T) -> Option<T> {
        lock(&self.laid).as_mut().map(act)
    }
}

/// A carrier that panicked leaves a network that is as good as any: each call leaves it whole.
fn lock(laid: &Mutex<Option<Laid>>) -> MutexGuard<'_, Option<Laid>> {
    laid.lock().unwrap_or_else(PoisonError::into_inner)
}

fn carry(ends: &[End], laid: &Mutex<Option<Laid>>, stop: &AtomicBool) {
    let (mut buffer, mut out) = ([0; BUFFER], Vec::with_capacity(BUFFER));
    while !stop.load(Ordering::Relaxed) {
        let mut wait = IDLE;
        if let Some(laid) = lock(laid).as_mut() {
            take_in(ends, laid, &mut buffer);
            while let Some(delivery) = laid.net.poll_delivery(Instant::now()) {
                hand_over(ends, laid, &delivery, &mut out);
            }
            if let Some(at) = laid.net.poll_timeout() {
                wait = wait.min(at.saturating_duration_since(Instant::now()));
            }
        }
        sleep(ends, wait);
    }
}

/// Reads what the kernel has sent, up to a batch of each end.
fn take_in(ends: &[End], laid: &mut Laid, buffer: &mut [u8]) {
    for end in ends {
        for _ in 0..BATCH {
            let len = match end.device.recv(buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // An interface that is down; it has nothing to say.
                Err(_) => break,
            };
            // The kernel also announces itself over other protocols, to nobody here.
            let Some(datagram) = packet::parse(&buffer[..len]) else {
                continue;
            };
            let Some(&host) = laid.hosts.get(end.place) else {
                continue;
            };
            let (src, dst) = (datagram.src.into(), datagram.dst.into());
            let payload = datagram.payload.to_vec();
            laid.net.send(Instant::now(), host, src, dst, payload);
        }
    }
}

fn hand_over(ends: &[End], laid: &Laid, delivery: &Delivery, out: &mut Vec<u8>) {
    let (SocketAddr::V4(src), SocketAddr::V4(dst)) = (delivery.src, delivery.dst) else {
        return;
    };
    let place = laid.hosts.iter().position(|&host| host == delivery.host);
    let Some(end) = place.and_then(|place| ends.get(*laid.ends.get(place)?)) else {
        return;
    };
    let payload = &delivery.payload;
    if packet::write(&Datagram { src, dst, payload }, out).is_ok() {
        // A full queue or an interface that is down loses it, as on any machine.
        let _ = end.device.send(out);
    }
}

/// Until something can be read, or for `wait`.
fn sleep(ends: &[End], wait: Duration) {
    let mut fds: Vec<_> = ends
        .iter()
        .map(|end| PollFd::new(&end.device, PollFlags::IN))
        .collect();
    if let Ok(wait) = Timespec::try_from(wait) {
        // Only a signal ends it early, which costs one more round.
        let _ = poll(&mut fds, Some(&wait));
    }
}
