//! Stand-in until the library lands.
pub(crate) use gimlet_proto::{address::ServerAddress, id::PeerId, name::Name};
