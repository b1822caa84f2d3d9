//! Which path is better: pure functions.
