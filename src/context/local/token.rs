//! `Token`, which can undo one change of a variable.

#![allow(unsafe_code)] // Reads a value as the type of its variable, and implements `Sync`.

use super::carrier::ThreadLocal;
use crate::context::change::Change;
use std::fmt;
use std::marker::PhantomData;

/// Undoes one change of a variable, with [`ContextVar::reset`](crate::ContextVar::reset).
///
/// [`ContextVar::set`](crate::ContextVar::set) and [`delete`](crate::ContextVar::delete) return it.
/// Dropping a token has no effect on the variable. A token keeps the old value alive, but not the new
/// one.
///
/// ```
/// use ctxvars::ContextVar;
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// let token = USER.set("ann");
/// assert_eq!(token.old_value(), None);
/// assert_eq!(USER.reset(token), Ok(()));
/// ```
pub struct Token<T> {
    change: Change<ThreadLocal>,
    /// The type of the old value. Values are `Send` and `Sync`, so a token is, too.
    _type: PhantomData<fn() -> T>,
}

// SAFETY: the old value is `Send` and `Sync`, because only `ContextVar<T>` with such a `T` makes
// tokens. The flag that the token has been used is atomic, and `reset` takes the token by value.
unsafe impl<T> Sync for Token<T> {}

impl<T: Send + Sync + 'static> Token<T> {
    /// The token of a change of a variable whose values are of type `T`.
    #[inline]
    pub(super) const fn new(change: Change<ThreadLocal>) -> Self {
        Self { change, _type: PhantomData }
    }

    /// The change that the token can undo.
    #[inline]
    pub(super) const fn change(&self) -> &Change<ThreadLocal> {
        &self.change
    }

    /// The value before the change, or `None` if the variable was not set. O(1).
    ///
    /// ```
    /// use ctxvars::ContextVar;
    ///
    /// static LEVEL: ContextVar<u8> = ContextVar::with_default("level", 9);
    ///
    /// assert_eq!(LEVEL.set(1).old_value(), None); // a default is not a value that was set
    /// assert_eq!(LEVEL.set(2).old_value(), Some(&1));
    /// ```
    #[inline]
    pub fn old_value(&self) -> Option<&T> {
        // SAFETY: `ContextVar<T>` has made the token of a change of itself, so the old value is one of
        // its values, which have the type `T`.
        self.change.old().map(|value| unsafe { value.get() })
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}
