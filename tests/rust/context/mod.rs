//! Tests of context variables.

mod dropped_variables;
mod entered;
mod entries;
mod follow;
mod futures;
mod integrations;
mod model;
mod scopes;
mod values;
mod variables;
