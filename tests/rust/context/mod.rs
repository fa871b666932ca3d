//! Tests of context variables.

mod dropped_variables;
mod entered;
mod entries;
mod follow;
mod futures;
#[cfg(any(feature = "tokio", feature = "futures", feature = "tower", feature = "tracing"))]
mod integrations;
mod model;
mod scopes;
mod values;
mod variables;
