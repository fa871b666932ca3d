//! `Token`: what is needed to undo one change.

#![allow(unsafe_code)] // Reads a value as the one type of its variable, and is `Sync` by promise.

use super::carrier::ThreadLocal;
use crate::context::change::Change;
use std::fmt;
use std::marker::PhantomData;

/// What [`ContextVar::set`](crate::ContextVar::set) and [`delete`](crate::ContextVar::delete) return:
/// it can undo the change, once.
///
/// Dropping it has no effect on the variable. It keeps the old value alive, and no other one.
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
    /// Made of values of the type `T`, which must be `Send` and `Sync`; nothing is borrowed.
    _type: PhantomData<fn() -> T>,
}

// SAFETY: the one part of a change that can change behind a shared reference is whether it has
// been used. Only `reset` touches that, which takes a token by value; what is shared is read only.
unsafe impl<T> Sync for Token<T> {}

impl<T: Send + Sync + 'static> Token<T> {
    /// The token of a change of a variable whose values are of type `T`.
    #[inline]
    pub(super) const fn new(change: Change<ThreadLocal>) -> Self {
        Self { change, _type: PhantomData }
    }

    /// The change. The caller owns the token.
    #[inline]
    pub(super) const fn change(&self) -> &Change<ThreadLocal> {
        &self.change
    }

    /// The value that was replaced or deleted, `None` if the variable had none. O(1).
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
        // SAFETY: a token of this type is made by the variable that its old value was bound to.
        self.change.old().map(|value| unsafe { value.get() })
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}
