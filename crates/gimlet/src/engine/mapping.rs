//! The port that a router maps for us, announced like any other address.
//!
//! Asked for beside everything else once it can be of use: when peers may dial us, when we dial, or
//! when somebody wants to know. Nothing waits for it.

use std::net::SocketAddr;
use std::num::NonZeroU16;

use gimlet_net::port_map::{PortMap, PortMapping};
use gimlet_proto::traversal::Family;

use super::{Command, Engine};

impl Engine {
    /// A mapping can be of use now. Begins to ask for one, once, as soon as servers are known.
    pub(super) fn map_port(&mut self) {
        if !self.shared.maps_port || self.port_map.is_some() {
            return;
        }
        match self.asked.is_empty() {
            true => {
                self.shared.port_mapping.send_replace(PortMapping::Asking);
            }
            false => self.ask_for_port(),
        }
    }

    /// Where servers are is known, as far as it can be.
    pub(super) fn servers_known(&mut self) {
        let asked_for = *self.shared.port_mapping.borrow() == PortMapping::Asking;
        if self.shared.maps_port && (asked_for || !self.shared.alpns.is_empty()) {
            self.ask_for_port();
        }
    }

    fn ask_for_port(&mut self) {
        let elsewhere = self.asked.iter().any(|(_, addr)| !addr.ip().is_loopback());
        let port = self.shared.sockets.iter().find_map(|&(_, family, addr)| {
            let port = NonZeroU16::new(addr.port())?;
            matches!(family, Family::V4 | Family::Both).then_some(port)
        });
        let Some(port) = port.filter(|_| elsewhere) else {
            self.shared.port_mapping.send_replace(PortMapping::Absent);
            return;
        };
        let map = PortMap::start(port);
        self.shared.port_mapping.send_replace(PortMapping::Asking);
        let (mut changes, commands) = (map.watch(), self.commands.clone());
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let mapping = *changes.borrow_and_update();
                let Some(commands) = commands.upgrade() else {
                    return;
                };
                if commands.send(Command::Mapped(mapping)).await.is_err() {
                    return;
                }
            }
        });
        self.port_map = Some(map);
    }

    /// The router gave another port, or took it back.
    pub(super) fn mapped(&mut self, mapping: PortMapping) {
        tracing::debug!(?mapping, "port mapping");
        self.shared.port_mapping.send_replace(mapping);
        self.announce_candidates();
    }

    /// The address to announce.
    pub(super) fn mapped_addr(&self) -> Option<SocketAddr> {
        self.shared
            .port_mapping
            .borrow()
            .public()
            .map(SocketAddr::V4)
    }

    pub(super) fn renew_port_map(&mut self) {
        if let Some(map) = &self.port_map {
            map.renew();
        }
    }

    /// Gives the port back, beside the goodbyes.
    pub(super) fn release_port(&mut self) {
        let Some(map) = self.port_map.take() else {
            self.shared.port_mapping.send_replace(PortMapping::Off);
            return;
        };
        let shared = self.shared.clone();
        tokio::spawn(async move {
            map.release().await;
            shared.port_mapping.send_replace(PortMapping::Off);
        });
    }
}
