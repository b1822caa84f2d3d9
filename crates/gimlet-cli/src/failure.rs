//! The exit status of each error of the library. What to do about it is in its message.

use std::io;

use gimlet::{BindError, ConnectError, RequestError, ResolveError, SignInError};

use crate::exit::{Failure, Status};

impl Failure {
    pub(crate) fn bind(error: BindError) -> Self {
        Self::new(Status::Failed, error)
    }

    pub(crate) fn sign_in(error: SignInError) -> Self {
        Self::new(sign_in_status(&error), error)
    }

    pub(crate) fn request(error: RequestError) -> Self {
        Self::new(request_status(&error), error)
    }

    pub(crate) fn resolve(error: ResolveError) -> Self {
        let status = match &error {
            ResolveError::Request(request) => request_status(request),
            ResolveError::Unknown { .. } => Status::Unreachable,
            ResolveError::Ambiguous { .. } => Status::Failed,
        };
        Self::new(status, error)
    }

    /// Connecting to the peer that people call `label` failed.
    pub(crate) fn connect(error: ConnectError, label: &str) -> Self {
        let status = match &error {
            ConnectError::NotSignedIn(sign_in) => sign_in_status(sign_in),
            ConnectError::Offline
            | ConnectError::NotHere
            | ConnectError::Unanswered
            | ConnectError::TimedOut
            | ConnectError::Lost { .. } => Status::Unreachable,
            ConnectError::Declined
            | ConnectError::Busy
            | ConnectError::Rejected
            | ConnectError::WrongKey
            | ConnectError::NoProtocol
            | ConnectError::Myself => Status::Failed,
        };
        Self::new(status, anyhow::Error::new(error).context(label.to_owned()))
    }

    /// A stream of a service failed. A peer that doesn't serve it resets the stream.
    pub(crate) fn service(error: io::Error, label: &str) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset => Self::new(
                Status::Failed,
                anyhow::anyhow!("{label} does not serve this"),
            )
            .hint("it has to run `gimlet up --echo`"),
            _ => Self::new(
                Status::Failed,
                anyhow::Error::new(error).context(format!("lost {label}")),
            ),
        }
    }
}

/// Why connecting failed, in the words of `punch --json`.
pub(crate) fn stage_and_reason(error: &ConnectError) -> (&'static str, &'static str) {
    match error {
        ConnectError::NotSignedIn(_) => ("sign-in", "not-signed-in"),
        ConnectError::Offline => ("introduction", "offline"),
        ConnectError::NotHere => ("network", "not-here"),
        ConnectError::Declined => ("introduction", "declined"),
        ConnectError::Unanswered => ("introduction", "unanswered"),
        ConnectError::Busy => ("introduction", "busy"),
        ConnectError::Rejected => ("introduction", "rejected"),
        ConnectError::Myself => ("introduction", "myself"),
        ConnectError::WrongKey => ("handshake", "wrong-key"),
        ConnectError::NoProtocol => ("handshake", "no-protocol"),
        ConnectError::TimedOut => ("handshake", "timed-out"),
        ConnectError::Lost { .. } => ("handshake", "lost"),
    }
}

fn sign_in_status(error: &SignInError) -> Status {
    match error {
        SignInError::NoServer | SignInError::ProxySetting(_) => Status::Usage,
        SignInError::Unresolved { .. }
        | SignInError::Unreachable { .. }
        | SignInError::Proxy(_)
        | SignInError::ShuttingDown
        | SignInError::Lost { .. } => Status::Unreachable,
        SignInError::WrongKey { .. }
        | SignInError::CertificateDate { .. }
        | SignInError::Protocol { .. }
        | SignInError::BadToken
        | SignInError::NotAllowed
        | SignInError::NameTaken
        | SignInError::Busy
        | SignInError::Replaced
        | SignInError::SignedOut => Status::Failed,
    }
}

fn request_status(error: &RequestError) -> Status {
    match error {
        RequestError::NotSignedIn(sign_in) => sign_in_status(sign_in),
        RequestError::TimedOut => Status::Unreachable,
        RequestError::Busy | RequestError::Rejected => Status::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_there_is_told_from_somebody_who_refuses() {
        let status = |error| Failure::connect(error, "bob").status;
        assert_eq!(status(ConnectError::Offline), Status::Unreachable);
        assert_eq!(status(ConnectError::Declined), Status::Failed);
        let unreachable = SignInError::Unreachable {
            addr: "192.0.2.1:1".parse().unwrap(),
        };
        assert_eq!(
            status(ConnectError::NotSignedIn(unreachable.clone())),
            Status::Unreachable
        );
        assert_eq!(Failure::sign_in(unreachable).status, Status::Unreachable);
        assert_eq!(
            Failure::sign_in(SignInError::BadToken).status,
            Status::Failed
        );
        assert_eq!(
            Failure::sign_in(SignInError::NoServer).status,
            Status::Usage
        );
    }

    #[test]
    fn a_refused_service_says_what_the_other_side_has_to_run() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert!(
            Failure::service(reset, "bob")
                .hint
                .unwrap()
                .contains("--echo")
        );
    }
}
