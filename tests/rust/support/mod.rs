//! Helpers that several tests share.

pub(crate) mod actions;
pub(crate) mod heaps;
pub(crate) mod shapes;
pub(crate) mod variables;
