//! Sorts the QUIC datagrams of a connection by the flow they belong to.
//!
//! A datagram begins with the number of its flow, four bytes. One of an unknown flow, or of a flow
//! whose queue is full, is dropped: datagrams are what may be lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use gimlet::Connection;
use tokio::sync::mpsc;

use super::MAX_FLOWS;
use super::failure::FlowError;
use super::request::FlowId;

/// Datagrams of a flow that may wait for its socket: what a burst at line rate brings while a busy
/// machine gets to it.
const MAX_WAITING: usize = 256;

/// Bytes in front of a datagram.
const HEADER: usize = size_of::<FlowId>();

type Flows = Mutex<HashMap<FlowId, mpsc::Sender<Bytes>>>;

/// The flows of one connection.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    flows: Flows,
    last: AtomicU32,
}

/// A flow's place; given up when dropped.
#[derive(Debug)]
pub(super) struct Enrolled {
    pub(super) id: FlowId,
    pub(super) datagrams: mpsc::Receiver<Bytes>,
    exchange: Arc<Exchange>,
}

impl Exchange {
    /// Sorts until the connection is over, without keeping it open.
    pub(super) fn start(connection: &Connection) -> Arc<Self> {
        let exchange = Arc::new(Self::default());
        let (sorting, quic) = (exchange.clone(), connection.quic().clone());
        tokio::spawn(async move {
            while let Ok(datagram) = quic.read_datagram().await {
                sorting.sort(datagram);
            }
        });
        exchange
    }

    /// A place for a flow that this side opens.
    pub(super) fn open(self: &Arc<Self>) -> Result<Enrolled, FlowError> {
        // Four thousand million flows over one connection are not to be expected; the next one fails.
        self.enroll(self.last.fetch_add(1, Ordering::Relaxed))
    }

    /// A place for a flow that the peer has numbered.
    pub(super) fn enroll(self: &Arc<Self>, id: FlowId) -> Result<Enrolled, FlowError> {
        let (queue, datagrams) = mpsc::channel(MAX_WAITING);
        let mut flows = self.flows();
        if flows.len() >= MAX_FLOWS {
            return Err(FlowError::Busy);
        }
        if flows.contains_key(&id) {
            return Err(FlowError::BadRequest);
        }
        flows.insert(id, queue);
        Ok(Enrolled {
            id,
            datagrams,
            exchange: self.clone(),
        })
    }

    fn sort(&self, mut datagram: Bytes) {
        let Some(&id) = datagram.first_chunk::<HEADER>() else {
            return;
        };
        if let Some(queue) = self.flows().get(&FlowId::from_be_bytes(id)) {
            let payload = datagram.split_off(HEADER);
            // One that finds the queue full is lost.
            let _ = queue.try_send(payload);
        }
    }

    fn flows(&self) -> std::sync::MutexGuard<'_, HashMap<FlowId, mpsc::Sender<Bytes>>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        self.exchange.flows().remove(&self.id);
    }
}

/// A datagram of a flow.
pub(super) fn datagram(id: FlowId, payload: &[u8]) -> Bytes {
    let mut datagram = BytesMut::with_capacity(HEADER + payload.len());
    datagram.put_u32(id);
    datagram.put_slice(payload);
    datagram.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_goes_to_its_flow_and_strangers_to_nobody() {
        let exchange = Arc::new(Exchange::default());
        let mut first = exchange.enroll(1).unwrap();
        let mut second = exchange.enroll(2).unwrap();
        exchange.sort(datagram(2, b"two"));
        exchange.sort(datagram(3, b"three"));
        exchange.sort(Bytes::from_static(b"\0\0\0"));
        assert_eq!(&second.datagrams.try_recv().unwrap()[..], b"two");
        assert!(second.datagrams.try_recv().is_err());
        assert!(first.datagrams.try_recv().is_err());
    }

    #[test]
    fn a_number_is_taken_once_and_free_again_after_its_flow() {
        let exchange = Arc::new(Exchange::default());
        let flow = exchange.enroll(7).unwrap();
        assert_eq!(exchange.enroll(7).unwrap_err(), FlowError::BadRequest);
        drop(flow);
        assert!(exchange.enroll(7).is_ok());
    }

    #[test]
    fn flows_and_what_waits_for_them_are_bounded() {
        let exchange = Arc::new(Exchange::default());
        let flows: Vec<_> = (0..MAX_FLOWS as u32).map(|n| exchange.enroll(n)).collect();
        assert!(flows.iter().all(Result::is_ok));
        assert_eq!(exchange.open().unwrap_err(), FlowError::Busy);
        for _ in 0..2 * MAX_WAITING {
            exchange.sort(datagram(0, b"x"));
        }
        assert_eq!(flows[0].as_ref().unwrap().datagrams.len(), MAX_WAITING);
    }
}
