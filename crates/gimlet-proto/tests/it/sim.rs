//! Both agents on the virtual network, with a server that answers STUN and carries the rest.

mod class_table;
mod discovery;
mod faults;
mod nat_world;
mod search;
mod timing;
mod topologies;
mod world;
