//! Both ends of many sessions through one relay: what is sent into it as fast as it goes, and what
//! comes out of it.

mod drive;
mod gimlet;
mod tunnels;
mod turn;

use std::cell::RefCell;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::bail;
use gimlet_net::{path, socket};
use gimlet_proto::frame::HEADER_LEN;
use quinn::AsyncUdpSocket;
use quinn::udp::RecvMeta;

use crate::bench::message::{Answer, Order, Via};
use gimlet::Peers;

/// Buffers of one receive call, and room in each for all that the kernel joins.
const BUFFERS: usize = 8;
const BUFFER: usize = 1 << 16;

/// The sessions.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// Keeps a Gimlet server's sessions open.
    _peers: Option<Peers>,
}

/// One session: a source, a sink, and what stands before every payload on the way in.
struct Lane {
    source: Arc<dyn AsyncUdpSocket>,
    sink: Arc<dyn AsyncUdpSocket>,
    head: Head,
    /// Datagrams that came out.
    received: Arc<AtomicU64>,
}

/// A relay's header.
#[derive(Debug, Clone, Copy)]
enum Head {
    /// As long as a relay frame's.
    Frame([u8; HEADER_LEN]),
    /// A channel's number; a length follows.
    Channel(u16),
}

impl Head {
    fn datagram(self, size: usize) -> Vec<u8> {
        let mut datagram = match self {
            Self::Frame(header) => header.to_vec(),
            Self::Channel(number) => {
                let length = size as u16;
                [number.to_be_bytes(), length.to_be_bytes()].concat()
            }
        };
        // The first byte of a QUIC packet with a short header.
        datagram.resize(datagram.len() + size, 0x40);
        datagram
    }
}

impl Lanes {
    /// Binds the sockets of this many.
    pub(super) async fn bind(count: usize) -> anyhow::Result<Self> {
        let mut lanes = Vec::new();
        for _ in 0..count {
            lanes.push(Lane {
                source: writable().await?,
                sink: writable().await?,
                head: Head::Frame([0; HEADER_LEN]),
                received: Arc::default(),
            });
        }
        Ok(Self {
            lanes,
            _peers: None,
        })
    }

    /// Does what the bench says.
    pub(super) async fn obey(&mut self, order: Order) -> anyhow::Result<Answer> {
        Ok(match order {
            Order::Pairs => Answer::Pairs(self.pairs()?),
            Order::Open(via) => {
                self.open(via).await?;
                Answer::Done
            }
            Order::Drive(drive) => Answer::Driven(drive::drive(&self.lanes, drive).await?),
            order => bail!("{order:?} is not for lanes"),
        })
    }

    /// Where the two ends of each are.
    fn pairs(&self) -> io::Result<Vec<(SocketAddr, SocketAddr)>> {
        let pair = |lane: &Lane| Ok((lane.source.local_addr()?, lane.sink.local_addr()?));
        self.lanes.iter().map(pair).collect()
    }

    /// Sets the sessions up at a relay and begins to take what comes out.
    async fn open(&mut self, via: Via) -> anyhow::Result<()> {
        match via {
            Via::Copier => (),
            Via::Gimlet { line } => {
                self._peers = Some(gimlet::open(&line.parse()?, &mut self.lanes).await?);
            }
            Via::Tunnels { line } => {
                let server = line.parse()?;
                tunnels::replace(&server, &mut self.lanes).await?;
                self._peers = Some(gimlet::open(&server, &mut self.lanes).await?);
            }
            Via::Turn { server } => turn::open(server, &mut self.lanes).await?,
        }
        for lane in &self.lanes {
            tokio::spawn(drain(lane.sink.clone(), lane.received.clone()));
        }
        Ok(())
    }
}

/// A socket that takes a datagram at once; a fresh one may not.
pub(super) async fn writable() -> io::Result<Arc<dyn AsyncUdpSocket>> {
    let socket = socket::bind((Ipv4Addr::LOCALHOST, 0).into(), false)?;
    path::writable(&socket).await?;
    Ok(socket)
}

/// Takes what comes, counts it, and looks at none of it.
async fn drain(sink: Arc<dyn AsyncUdpSocket>, received: Arc<AtomicU64>) -> io::Result<()> {
    // One for a thousand sinks: what stays in the processor's cache costs the relay less as well.
    thread_local! {
        static MEMORY: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFERS * BUFFER]);
    }
    let mut metas = [RecvMeta::default(); BUFFERS];
    loop {
        let count = std::future::poll_fn(|cx| {
            MEMORY.with_borrow_mut(|memory| {
                let mut chunks = memory.chunks_mut(BUFFER);
                let mut buffers: [IoSliceMut<'_>; BUFFERS] =
                    std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
                sink.poll_recv(cx, &mut buffers, &mut metas)
            })
        })
        .await?;
        let datagrams: usize = metas[..count]
            .iter()
            .map(|meta| meta.len.div_ceil(meta.stride.max(1)))
            .sum();
        received.fetch_add(datagrams as u64, Ordering::Relaxed);
    }
}
