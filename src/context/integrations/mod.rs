//! Contexts in other crates. Each needs the feature with its name.
//!
//! | file | concept |
//! | --- | --- |
//! | `tokio.rs` | tasks that run in a copy of the current context |
//! | `futures.rs` | streams that run in a context |
//! | `tower.rs` | a layer whose services handle each request in its context |
//! | `tracing.rs` | contexts that carry a span |
//! | `carrier/` | values in headers |

#[cfg(feature = "carrier")]
pub mod carrier;
#[cfg(feature = "futures")]
mod futures;
#[cfg(feature = "tokio")]
pub mod tokio;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "tracing")]
pub mod tracing;

#[cfg(feature = "futures")]
pub use futures::StreamContextExt;
