//! Tests of the persistent map.

mod actions;
mod api;
mod clones;
mod collections;
mod combine;
#[cfg(feature = "deep-drop")]
mod deep_drop;
mod drops;
mod fingerprints;
mod inconsistent_keys;
mod membership;
mod model;
mod panicking_keys;
#[cfg(feature = "rayon")]
mod rayon;
#[cfg(feature = "serde")]
mod serde;
mod threads;
mod types;
