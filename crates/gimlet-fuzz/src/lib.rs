//! What the fuzz targets do with their input: one function a decoder or machine, from bytes to
//! nothing or a panic.
//!
//! The functions are used twice: by the libFuzzer targets in `tests/fuzz/`, which look for inputs, and by
//! a test in `tests/`, which replays the inputs worth keeping (`tests/fuzz/corpus/`) on every change.
//! None of them touches a socket, a clock or a random number generator, so an input does the same
//! every time.

mod address;
mod agent;
mod control;
mod frames;
mod input;
mod names;
mod relay;
mod rendezvous;
mod stun_check;
mod stun_plain;
mod stun_text;
mod tunnel;

/// One fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, that of its libFuzzer binary and of its folder of inputs.
    pub name: &'static str,
    /// What it does with an input. It panics when the input shows a bug.
    pub run: fn(&[u8]),
}

/// Every target, in the order of the alphabet.
pub const TARGETS: [Target; 11] = [
    ADDRESS,
    AGENT,
    CONTROL_TO_PEER,
    CONTROL_TO_SERVER,
    FRAMES,
    NAMES,
    RELAY,
    RENDEZVOUS,
    STUN_CHECK,
    STUN_PLAIN,
    TUNNEL,
];

/// The text of a server's address line.
pub const ADDRESS: Target = Target {
    name: "address",
    run: address::run,
};

/// A traversal agent: any sequence of inputs, from a peer that knows the right passwords.
pub const AGENT: Target = Target {
    name: "agent",
    run: agent::run,
};

/// A control stream as a peer reads it.
pub const CONTROL_TO_PEER: Target = Target {
    name: "control_to_peer",
    run: control::to_peer,
};

/// A control stream as a server reads it.
pub const CONTROL_TO_SERVER: Target = Target {
    name: "control_to_server",
    run: control::to_server,
};

/// Relay frames, bind frames, and a receive batch cut into runs.
pub const FRAMES: Target = Target {
    name: "frames",
    run: frames::run,
};

/// Texts of names and ids.
pub const NAMES: Target = Target {
    name: "names",
    run: names::run,
};

/// The server's relay: commands and frames in any order.
pub const RELAY: Target = Target {
    name: "relay",
    run: relay::run,
};

/// The server's rendezvous: connections and messages in any order.
pub const RENDEZVOUS: Target = Target {
    name: "rendezvous",
    run: rendezvous::run,
};

/// Connectivity checks and their answers.
pub const STUN_CHECK: Target = Target {
    name: "stun_check",
    run: stun_check::run,
};

/// Plain Binding requests and responses.
pub const STUN_PLAIN: Target = Target {
    name: "stun_plain",
    run: stun_plain::run,
};

/// A message of a tunnel, cut into packets.
pub const TUNNEL: Target = Target {
    name: "tunnel",
    run: tunnel::run,
};
