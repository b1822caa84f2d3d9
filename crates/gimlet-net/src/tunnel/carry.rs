//! Carries packets between a WebSocket and the queues at this end, until either side is done.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use gimlet_proto::tunnel::{FrameError, Role};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::framed::Framed;
use super::inbox::Received;
use super::outbox::Outbox;
use super::pool::Pool;
use crate::records::Records;

/// Why a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// One side closed it.
    Closed,
    /// The connection broke.
    Broken,
    /// Nothing came for too long.
    Idle,
    /// What was sent was not taken for too long.
    Stuck,
    /// What came was not messages of packets.
    Malformed(FrameError),
}

/// What [`carry`] carries between, and how.
#[derive(Debug, Clone, Copy)]
pub struct Carrying<'a> {
    /// Which end of the WebSocket this is.
    pub role: Role,
    /// What is to be sent.
    pub outbox: &'a Outbox,
    /// Where what comes is put.
    pub deliver: &'a mpsc::Sender<Received>,
    /// From where that is said to come.
    pub from: SocketAddr,
    /// Memory for messages.
    pub pool: &'a Pool,
    /// It ends when nothing comes, or nothing is taken, for so long.
    pub patience: Duration,
}

/// Carries until it ends. `records` is the connection after the WebSocket's handshake.
pub async fn carry<S>(records: Records<S>, carrying: &Carrying<'_>) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut framed = Framed::new(records, carrying);
    let end = loop {
        let packets = match poll_fn(|cx| framed.poll(cx)).await {
            Ok(packets) => packets,
            Err(end) => break end,
        };
        let room = match carrying.deliver.try_reserve() {
            Ok(room) => room,
            Err(TrySendError::Closed(())) => break End::Closed,
            // What is to be sent is, meanwhile: two ends that each wait to be read would for ever.
            Err(TrySendError::Full(())) => tokio::select! {
                room = carrying.deliver.reserve() => match room {
                    Ok(room) => room,
                    Err(_) => break End::Closed,
                },
                end = poll_fn(|cx| framed.poll_sending(cx)) => break end,
            },
        };
        let from = carrying.from;
        room.send(Received { from, packets });
        framed.reads_on();
    };
    framed.say_goodbye(end).await;
    end
}
