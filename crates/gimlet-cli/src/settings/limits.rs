//! The `[serve.limits]` part of the configuration file, which a running server reads again on SIGHUP.

use std::num::NonZeroU64;
use std::time::Duration;

use gimlet_server::Limits;
use gimlet_server::relay_limits::{ByteRate, Quota};

/// What the file says.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsFile {
    sessions: Option<usize>,
    sessions_per_peer: Option<usize>,
    pending_in: Option<usize>,
    pending_out: Option<usize>,
    period_s: Option<u64>,
    session: QuotaFile,
    peer: QuotaFile,
    server: QuotaFile,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct QuotaFile {
    rate: Option<NonZeroU64>,
    burst: Option<u64>,
    total: Option<u64>,
}

impl LimitsFile {
    /// A burst without a rate is a mistake.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for (name, quota) in [
            ("session", &self.session),
            ("peer", &self.peer),
            ("server", &self.server),
        ] {
            anyhow::ensure!(
                quota.burst.is_none() || quota.rate.is_some(),
                "[serve.limits.{name}] has a burst and no rate"
            );
        }
        Ok(())
    }

    /// With the defaults for what it does not say.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        limits.relay.session = self.session.quota();
        limits.relay.peer = self.peer.quota();
        limits.relay.server = self.server.quota();
        for (to, from) in [
            (&mut limits.sessions, self.sessions),
            (&mut limits.sessions_per_peer, self.sessions_per_peer),
            (&mut limits.pending_in, self.pending_in),
            (&mut limits.pending_out, self.pending_out),
        ] {
            *to = from.unwrap_or(*to);
        }
        if let Some(period_s) = self.period_s {
            limits.relay.period = Duration::from_secs(period_s);
        }
        limits
    }
}

impl QuotaFile {
    fn quota(&self) -> Quota {
        Quota {
            rate: self.rate.map(|per_second| ByteRate {
                per_second,
                burst: self.burst.unwrap_or(per_second.get()),
            }),
            total: self.total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<LimitsFile, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn what_is_not_said_is_as_by_default() {
        assert_eq!(parse("").unwrap().limits(), Limits::default());
        let limits = parse("sessions = 7\n[peer]\nrate = 1000\n[server]\ntotal = 5").unwrap();
        let limits = limits.limits();
        assert_eq!(limits.sessions, 7);
        let peer = limits.relay.peer;
        assert_eq!(peer.rate.unwrap().burst, 1000);
        assert_eq!(limits.relay.server.total, Some(5));
        assert_eq!(limits.relay.session, Quota::default());
        assert_eq!(limits.pending_in, Limits::default().pending_in);
    }

    #[test]
    fn mistakes_are_told() {
        assert!(parse("sesions = 7").is_err());
        assert!(parse("[peer]\nrate = 0").is_err());
        let burst = parse("[peer]\nburst = 5").unwrap().check();
        assert!(
            burst
                .unwrap_err()
                .to_string()
                .contains("[serve.limits.peer]")
        );
    }
}
