//! Requests that have crossed ours, until it is clear what comes of ours.

use gimlet_apps::chat::Request;
use tokio::time::Instant;

use super::glare::{self, Meeting};
use super::one::One;
use super::{Hall, now};
use crate::session::Found;

impl Hall {
    /// What a request meets here.
    pub(in super::super) fn meet(&self, with: &Found, request: &Request) -> Meeting {
        let ours = self.one_with(with).map(One::ours);
        glare::meet(ours, request.id(), now())
    }

    /// Keeps a request that has crossed ours. Comes as news again where ours comes to nothing.
    pub(in super::super) fn hold(&mut self, with: Found, request: Request) {
        self.held.retain(|(held, _)| held.peer != with.peer);
        self.held.push((with, request));
    }

    /// Takes out a request that need not be held any more.
    pub(super) fn release(&mut self) -> Option<(Found, Request)> {
        self.held.retain(|(_, request)| request.is_open());
        let mut held = self.held.iter();
        let free = held.position(|(with, request)| self.meet(with, request) != Meeting::Ours)?;
        Some(self.held.remove(free))
    }

    /// When [`release`](Self::release) may have one, if nothing happens before.
    pub(super) fn release_at(&self) -> Option<Instant> {
        let ours = self.held.iter().filter_map(|(with, _)| self.one_with(with));
        ours.filter_map(|one| one.ours().crosses_until()).min()
    }
}
