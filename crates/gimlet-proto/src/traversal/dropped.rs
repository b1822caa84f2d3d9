//! Why an input was ignored.

/// Why a datagram was ignored. Counted by the driver, never fatal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Dropped {
    /// Not STUN, or not the kind of STUN that peers exchange.
    #[error("not a connectivity check")]
    Malformed,
    /// The user name is not that of this session.
    #[error("the check is for another session")]
    WrongUser,
    /// The message integrity does not verify.
    #[error("the message integrity is wrong")]
    BadIntegrity,
    /// Both sides claim the same role.
    #[error("the sender claims our own role")]
    RoleConflict,
    /// The same request came before over another route.
    #[error("the request was seen before on another route")]
    Replayed,
    /// The response matches no check of ours, or one that was answered already.
    #[error("the response matches no outstanding check")]
    UnknownTransaction,
    /// The response came another way than its check went.
    #[error("the response came from another address than its check went to")]
    WrongSource,
    /// The peer answered with an error.
    #[error("the peer answered with an error")]
    ErrorResponse,
    /// A nomination older than the one in force; the check was answered.
    #[error("the nomination is older than the one in force")]
    StaleNomination,
    /// The address is not one that may be sent to, or not of the socket's family.
    #[error("the source address is not one to answer to")]
    Unsendable,
    /// More checks arrived than one peer has reason to send.
    #[error("too many checks from this peer")]
    RateLimited,
    /// The socket is not one of ours.
    #[error("no such socket")]
    UnknownSocket,
}
