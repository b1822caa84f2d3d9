//! One path.
