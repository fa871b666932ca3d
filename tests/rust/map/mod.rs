//! The persistent map.

mod actions;
mod collections;
mod combine;
#[cfg(feature = "deep-drop")]
mod deep_drop;
mod drops;
mod hostile;
mod liars;
mod membership;
mod model;
#[cfg(feature = "rayon")]
mod rayon;
#[cfg(feature = "serde")]
mod serde;
mod threads;
mod types;
