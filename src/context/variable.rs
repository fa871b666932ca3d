//! `ContextVar`, `Context` and `Token` for Rust programs.

#![allow(unsafe_code)] // Reads a value as the one type of its variable, without a check.

use super::bindings::Bindings;
use super::local::{LocalHeap, LocalValue, ThreadLocal, VariableId};
use super::state::{self, Change, ResetError};
use super::version::Version;
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A variable whose value belongs to the current context.
///
/// ```
/// use ctxvars::{Context, ContextVar};
///
/// let precision = ContextVar::with_default("precision", 28);
/// let mut request = Context::copy_current();
/// request.run(|| {
///     precision.set(6);
///     assert_eq!(precision.get(), Some(6));
/// });
/// assert_eq!(precision.get(), Some(28)); // what the request set stayed there
/// ```
pub struct ContextVar<T> {
    id: VariableId,
    name: &'static str,
    default: Option<T>,
}

impl<T: Send + Sync + 'static> ContextVar<T> {
    /// A variable without a default. The name is for people; it need not be unique. O(1).
    pub fn new(name: &'static str) -> Self {
        Self { id: VariableId::new(), name, default: None }
    }

    /// A variable that has the value `default` where it has not been set. O(1).
    pub fn with_default(name: &'static str, default: T) -> Self {
        Self { id: VariableId::new(), name, default: Some(default) }
    }

    /// The name that the variable was made with.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Runs `f` with the current value, or the default, or `None`.
    ///
    /// O(1) if the variable was read since the last change, else O(log n).
    ///
    /// `f` may do anything, setting this variable included: it keeps seeing the same value.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(Option<&T>) -> R) -> R {
        // SAFETY: only `set` below binds this variable, to a `T`.
        unsafe { ThreadLocal.read(self.id, |value: Option<&T>| f(value.or(self.default.as_ref()))) }
    }

    /// A clone of the current value, or of the default, or `None`; costs as [`with`](Self::with).
    #[inline]
    pub fn get(&self) -> Option<T>
    where
        T: Clone,
    {
        self.with(|value| value.cloned())
    }

    /// Sets the value in the current context; the token undoes that. O(log n).
    #[inline]
    pub fn set(&self, value: T) -> Token<T> {
        match state::set(&ThreadLocal, self.id, Arc::new(value) as LocalValue) {
            Ok(change) => Token { change, _type: PhantomData },
            Err(never) => match never {},
        }
    }

    /// Gives the variable the value that it had before the `set` that returned `token`. O(log n).
    ///
    /// # Errors
    ///
    /// The token is another variable's, or the current context is not the one it was made in;
    /// nothing has changed then, and the token is gone.
    #[inline]
    pub fn reset(&self, token: Token<T>) -> Result<(), ResetError<Infallible>> {
        state::reset(&ThreadLocal, &self.id, &token.change)
    }
}

impl<T> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextVar").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What [`ContextVar::set`] returns: it can undo the change, once.
pub struct Token<T> {
    change: Change<ThreadLocal>,
    _type: PhantomData<fn() -> T>,
}

impl<T: 'static> Token<T> {
    /// The value that was replaced, `None` if the variable had none.
    pub fn old_value(&self) -> Option<&T> {
        self.change.old()?.downcast_ref()
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

/// A set of variables with their values, which can be made current for the time of a call.
///
/// A clone is another context with the same values.
pub struct Context {
    bindings: Bindings<LocalHeap>,
    identity: Version,
}

impl Context {
    /// A context in which no variable has been set. O(1).
    pub const fn new() -> Self {
        Self { bindings: Bindings::new(), identity: Version::EMPTY }
    }

    /// A copy of the current context. O(1).
    pub fn copy_current() -> Self {
        Self { bindings: ThreadLocal.snapshot(), identity: Version::EMPTY }
    }

    /// Runs `f` in this context: what it sets is seen here and, afterwards, nowhere else. O(1).
    ///
    /// The context that was current before is current again afterwards, also if `f` panics. That
    /// a context is not entered twice is checked by the compiler.
    pub fn run<R>(&mut self, f: impl FnOnce() -> R) -> R {
        ThreadLocal.enter(&mut self.bindings, &mut self.identity, f)
    }

    /// Number of variables that have been set. O(1).
    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Whether no variable has been set. O(1).
    pub const fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }
}

impl Clone for Context {
    fn clone(&self) -> Self {
        Self { bindings: self.bindings.clone(), identity: Version::EMPTY }
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("len", &self.len()).finish_non_exhaustive()
    }
}
