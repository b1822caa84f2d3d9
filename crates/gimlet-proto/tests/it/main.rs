//! Both agents on the virtual network, with a server that answers STUN and carries the rest; and
//! the golden vectors of the wire.

#[path = "sim/class_table.rs"]
mod class_table;
#[path = "sim/discovery.rs"]
mod discovery;
#[path = "sim/faults.rs"]
mod faults;
#[path = "sim/nat_world.rs"]
mod nat_world;
#[path = "sim/search.rs"]
mod search;
#[path = "sim/timing.rs"]
mod timing;
#[path = "sim/topologies.rs"]
mod topologies;
mod vectors;
#[path = "sim/world.rs"]
mod world;
