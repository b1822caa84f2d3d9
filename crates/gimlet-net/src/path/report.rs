//! What the path socket tells its owner.

use std::net::SocketAddr;
use std::sync::Arc;

use gimlet_proto::frame::FrameKind;
use gimlet_proto::secret::SessionId;
use gimlet_proto::traversal::{Route, SocketId};

use super::Link;

/// Over what something arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// Straight from `remote`.
    Direct {
        /// To which of our sockets.
        socket: SocketId,
        /// From where.
        remote: SocketAddr,
    },
    /// In a relay frame of this session.
    Relay(SessionId),
}

/// Something for the owner to act on.
#[derive(Debug)]
pub enum Report {
    /// A datagram that may be STUN.
    Stun {
        /// How it came.
        via: Via,
        /// The datagram.
        datagram: Vec<u8>,
    },
    /// A relay frame other than data, from a server.
    Frame {
        /// What it is.
        kind: FrameKind,
        /// Whose.
        session: SessionId,
        /// What follows the header.
        payload: Vec<u8>,
    },
    /// Relayed QUIC of a session not known here, perhaps not yet.
    Unclaimed {
        /// Whose.
        session: SessionId,
        /// The datagram inside the frame.
        datagram: Vec<u8>,
    },
    /// A link's path was sent on for a while and nothing came back.
    Suspect {
        /// Which link.
        link: Arc<Link>,
        /// Which path.
        route: Route,
    },
    /// The first QUIC since it was selected came over a link's direct path.
    Heard {
        /// Which link.
        link: Arc<Link>,
        /// Which path.
        route: Route,
    },
    /// The system refused to send over a link's path.
    SendFailed {
        /// Which link.
        link: Arc<Link>,
        /// Which path.
        route: Route,
    },
    /// QUIC comes over a relay session that is not the one that packets take. Said ten times a second at
    /// most.
    Relayed {
        /// Which link.
        link: Arc<Link>,
        /// Over what it comes.
        session: SessionId,
    },
    /// More than a few bytes of QUIC come for a link after a silence of seconds: what flows can be seen to stop.
    Flowing {
        /// Which link.
        link: Arc<Link>,
    },
}
