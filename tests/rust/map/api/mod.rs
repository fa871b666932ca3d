//! The interface that Rust programs expect of collections: bounds, the methods of the standard library.

mod bounds;
mod methods;
mod set;
