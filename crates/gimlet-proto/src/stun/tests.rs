//! Binding for anybody and checks between peers, byte by byte.
