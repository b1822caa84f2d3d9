//! The keys of both directions, and those that follow them (RFC 8446 section 7.2).

use std::fmt;

use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ExtractedSecrets, Tls13CipherSuite};

use super::RecordError;
use super::key::Key;

/// What is left of the handshake: it knows the next keys.
pub(super) enum Schedule {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

/// See the top of this file.
pub(super) struct Keys {
    pub(super) sending: Key,
    pub(super) receiving: Key,
    suite: &'static Tls13CipherSuite,
    schedule: Box<Schedule>,
}

impl Keys {
    pub(super) fn new(secrets: ExtractedSecrets, schedule: Schedule) -> Result<Self, RecordError> {
        let suite = match &schedule {
            Schedule::Client(schedule) => schedule.negotiated_cipher_suite(),
            Schedule::Server(schedule) => schedule.negotiated_cipher_suite(),
        };
        let suite = suite.tls13().ok_or(RecordError::Keys)?;
        Ok(Self {
            sending: Key::new(suite, secrets.tx)?,
            receiving: Key::new(suite, secrets.rx)?,
            suite,
            schedule: Box::new(schedule),
        })
    }

    /// Takes the next key for sending; said under the one before.
    pub(super) fn update_sending(&mut self) -> Result<(), RecordError> {
        let next = match &mut *self.schedule {
            Schedule::Client(schedule) => schedule.update_tx_secret(),
            Schedule::Server(schedule) => schedule.update_tx_secret(),
        };
        self.sending = Key::new(self.suite, next.map_err(|_| RecordError::Keys)?)?;
        Ok(())
    }

    /// Takes the next key for what comes, as the other side has.
    pub(super) fn update_receiving(&mut self) -> Result<(), RecordError> {
        let next = match &mut *self.schedule {
            Schedule::Client(schedule) => schedule.update_rx_secret(),
            Schedule::Server(schedule) => schedule.update_rx_secret(),
        };
        self.receiving = Key::new(self.suite, next.map_err(|_| RecordError::Keys)?)?;
        Ok(())
    }

    /// Whether the other side is a server, which may send tickets.
    pub(super) fn is_client(&self) -> bool {
        matches!(*self.schedule, Schedule::Client(_))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}
