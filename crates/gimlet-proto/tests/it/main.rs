//! The machines on the virtual network, and the golden vectors of the wire.

mod sim;
mod vectors;
