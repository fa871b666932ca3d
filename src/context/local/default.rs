//! A default that is made when it is first needed.

use super::context::Context;
use std::sync::OnceLock;

/// The default of a variable, made by a function when it is first needed.
pub(super) struct LazyDefault<T> {
    make: fn() -> T,
    made: OnceLock<T>,
}

impl<T> LazyDefault<T> {
    pub(super) const fn new(make: fn() -> T) -> Self {
        Self { make, made: OnceLock::new() }
    }

    /// The default. It is made in an empty context, so that it does not depend on the context that
    /// needs it first, and leaves no changes there.
    #[inline(never)]
    pub(super) fn get(&self) -> &T {
        self.made.get_or_init(|| Context::new().run(self.make))
    }
}
