//! What a `class` statement calls.

pub(crate) mod build_class;
