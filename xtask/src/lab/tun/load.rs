//! How much the virtual network carries before it melts: without that, a slow cell would say
//! nothing about Gimlet.

use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::{Spot, UPLINK_DELAY, World, layout};
use crate::lab::report::percentiles;
use crate::lab::topology::Side;
use crate::term::{BAD, GOOD, paint};

/// What is offered: above what is asked for, so that the answer is not the question.
const OFFERED_MBIT: f64 = 400.0;
/// What must arrive.
const LEAST_MBIT: f64 = 300.0;
/// How much later than the network's own delay a packet may be at the 99th percentile.
const MOST_LATE_MS: f64 = 10.0;
/// How long. Longer than any queue between could hide a melt.
const SPAN: Duration = Duration::from_secs(2);
/// Payload of one packet, as QUIC has it.
const PACKET: usize = 1_200;
/// Packets in a row, as QUIC paces them.
const BURST: u32 = 16;
/// The receiver's silence that means the end.
const QUIET: Duration = Duration::from_millis(300);
const PORT: u16 = 9000;

/// Sends as fast as offered for a while and prints what came; fails if it is too little.
pub(crate) fn measure(world: &World) -> anyhow::Result<ExitCode> {
    world.lay(1, &layout(Spot::Public, Spot::Apdf, 0.0))?;
    let started = Instant::now();
    // To the public host: no mapping has to be opened first.
    let receiver = world.host(Side::A).run_sync(|| {
        let socket = UdpSocket::bind(("0.0.0.0", PORT))?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(socket)
    })?;
    let to = SocketAddr::new([11, 0, 1, 99].into(), PORT);
    let sender = world
        .host(Side::B)
        .spawn_thread(move || send(to, started))?;
    let times = receive(&receiver, started)?;
    let sent = sender
        .join()
        .map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    let received = times.len();
    let mbit = |packets: usize| (packets * PACKET * 8) as f64 / SPAN.as_secs_f64() / 1e6;
    let lost = 100.0 * (1.0 - received as f64 / sent.max(1) as f64);
    let (p50, _) = percentiles(times.clone()).context("nothing came at all")?;
    let late = at(times, 0.99) - 2.0 * UPLINK_DELAY.as_secs_f64() * 1e3;
    let good = mbit(received) >= LEAST_MBIT && late <= MOST_LATE_MS;
    let text = format!(
        "simulated network: {:.0} of {:.0} Mbit/s carried ({lost:.2} % lost), one way p50 {p50:.1} ms of {:.0}, p99 {late:.1} ms late",
        mbit(received),
        mbit(sent),
        2.0 * UPLINK_DELAY.as_secs_f64() * 1e3,
    );
    anstream::println!("{}", paint(if good { GOOD } else { BAD }, text));
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Sends bursts on time; returns how many packets.
fn send(to: SocketAddr, started: Instant) -> anyhow::Result<usize> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let burst_bits = f64::from(BURST) * PACKET as f64 * 8.0;
    let interval = Duration::from_secs_f64(burst_bits / (OFFERED_MBIT * 1e6));
    let (began, mut sent, mut packet) = (Instant::now(), 0, [0; PACKET]);
    let mut next = began;
    while began.elapsed() < SPAN {
        for _ in 0..BURST {
            let now = u64::try_from(started.elapsed().as_nanos())?;
            packet[..8].copy_from_slice(&now.to_be_bytes());
            // A full queue here is a loss like any.
            let _ = socket.send_to(&packet, to);
            sent += 1;
        }
        next += interval;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(sent)
}

/// Receives until it is quiet; returns how long each packet took, in milliseconds.
fn receive(socket: &UdpSocket, started: Instant) -> anyhow::Result<Vec<f64>> {
    let (mut times, mut packet) = (Vec::new(), [0; PACKET]);
    while let Ok(len) = socket.recv(&mut packet) {
        let sent_at: [u8; 8] = packet[..len.max(8)][..8].try_into()?;
        let took = started.elapsed().as_nanos() as f64 - u64::from_be_bytes(sent_at) as f64;
        times.push(took / 1e6);
        if times.len() == 1 {
            socket.set_read_timeout(Some(QUIET))?;
        }
    }
    Ok(times)
}

fn at(mut times: Vec<f64>, share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let rank = (share * times.len() as f64) as usize;
    times.get(rank).copied().unwrap_or(f64::INFINITY)
}
