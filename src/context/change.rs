//! `set`, `delete` and `reset`, over any carrier.

use super::bindings::{Bindings, Variable};
use super::carrier::{Carrier, ErrorOf, ValueOf, VariableOf};
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// A change by [`set`] or [`delete`], which [`reset`] can undo: the content of a token.
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// let interpreter = Interpreter::new();
/// let Ok(_) = context::set(&interpreter, Global(1), "one");
/// let Ok(change) = context::set(&interpreter, Global(1), "two");
/// assert!(change.variable().is(&Global(1)));
/// assert_eq!(change.old(), Some(&"one"));
/// assert_eq!(change.mark(), &interpreter.id);
/// assert!(!change.is_used());
/// ```
pub struct Change<C: Carrier> {
    /// Dropped first: the tokens of the binding rely on it.
    old: Option<ValueOf<C>>,
    variable: VariableOf<C>,
    mark: C::UpdateMark,
    /// Written by the thread in which the context of the change is current. Other threads may read it.
    used: AtomicBool,
}

impl<C: Carrier> Change<C> {
    /// The variable that was set or deleted.
    ///
    /// See [`Change`] for an example.
    #[inline]
    pub const fn variable(&self) -> &VariableOf<C> {
        &self.variable
    }

    /// The old value of the variable, or `None` if it was not set.
    ///
    /// See [`Change`] for an example.
    #[inline]
    pub const fn old(&self) -> Option<&ValueOf<C>> {
        self.old.as_ref()
    }

    /// Whether the change has been undone.
    ///
    /// See [`reset`] for an example.
    #[inline]
    pub fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// The mark that the carrier returned.
    ///
    /// See [`Change`] for an example.
    #[inline]
    pub const fn mark(&self) -> &C::UpdateMark {
        &self.mark
    }
}

/// The error of [`ContextVar::reset`](crate::ContextVar::reset): the change could not be undone.
///
/// `E` is the error of the storage of current values. In Rust programs it is [`Infallible`], and the
/// variant [`Carrier`](Self::Carrier) does not occur.
///
/// ```
/// use ctxvars::{ContextVar, ResetError};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
/// static LANG: ContextVar<&str> = ContextVar::new("lang");
///
/// let Err(error) = LANG.reset(USER.set("ann")) else { unreachable!("a token of another variable") };
/// assert_eq!(error, ResetError::OtherVariable);
/// assert_eq!(error.to_string(), "the token was made by another variable");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetError<E = Infallible> {
    /// The token has been used already.
    Used,
    /// The token was made by another variable.
    OtherVariable,
    /// The token was made in another context.
    OtherContext,
    /// The storage of current values failed.
    Carrier(E),
}

impl<E: fmt::Display> fmt::Display for ResetError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Used => f.write_str("the token has been used already"),
            Self::OtherVariable => f.write_str("the token was made by another variable"),
            Self::OtherContext => f.write_str("the token was made in another context"),
            Self::Carrier(error) => error.fmt(f),
        }
    }
}

impl<E: Error> Error for ResetError<E> {}

/// Sets `variable` to `value` in the current context. O(log n).
///
/// # Errors
///
/// The carrier failed; the context is unchanged.
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// let interpreter = Interpreter::new();
/// let Ok(change) = context::set(&interpreter, Global(1), "one");
/// assert_eq!(interpreter.get(&Global(1)), Some("one"));
/// assert_eq!(change.old(), None);
/// ```
#[inline]
pub fn set<C: Carrier>(
    carrier: &C,
    variable: VariableOf<C>,
    value: ValueOf<C>,
) -> Result<Change<C>, ErrorOf<C>> {
    let (old, mark) = carrier.set(&variable, value)?;
    Ok(Change { variable, old, mark, used: AtomicBool::new(false) })
}

/// Unsets `variable` in the current context, or returns `None` if it is not set. O(log n).
///
/// # Errors
///
/// The carrier failed; the context is unchanged.
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// let interpreter = Interpreter::new();
/// let Ok(nothing) = context::delete(&interpreter, Global(1));
/// assert!(nothing.is_none());
///
/// let Ok(_) = context::set(&interpreter, Global(1), "one");
/// let Ok(Some(change)) = context::delete(&interpreter, Global(1)) else { unreachable!("it is set") };
/// assert_eq!((interpreter.get(&Global(1)), change.old()), (None, Some(&"one")));
/// assert_eq!(context::reset(&interpreter, &Global(1), &change), Ok(()));
/// assert_eq!(interpreter.get(&Global(1)), Some("one"));
/// ```
pub fn delete<C: Carrier>(
    carrier: &C,
    variable: VariableOf<C>,
) -> Result<Option<Change<C>>, ErrorOf<C>> {
    if carrier.current()?.get(&variable)?.is_none() {
        return Ok(None);
    }
    unset(carrier, variable).map(Some)
}

/// As [`delete`], but the result is a change even if the variable is not set: undoing it deletes a value
/// that the variable has got meanwhile. O(log n).
///
/// # Errors
///
/// The carrier failed; the variable is unchanged.
pub(super) fn unset<C: Carrier>(
    carrier: &C,
    variable: VariableOf<C>,
) -> Result<Change<C>, ErrorOf<C>> {
    let (removed, mark) = carrier.update(|bindings| bindings.remove(&variable))?;
    let old = removed.map(|entry| entry.value);
    Ok(Change { variable, old, mark, used: AtomicBool::new(false) })
}

/// Undoes `change`: restores the old value of `variable`, or unsets it. O(log n).
///
/// # Errors
///
/// The change has been undone already, or was made by another variable, or in another context; these
/// are checked in this order. Or the carrier failed. The context is unchanged then.
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// use ctxvars::ResetError;
///
/// let (interpreter, other) = (Interpreter::new(), Interpreter::new());
/// let Ok(change) = context::set(&interpreter, Global(1), "one");
/// let reset = |carrier, variable| context::reset(carrier, &variable, &change);
/// assert_eq!(reset(&interpreter, Global(2)), Err(ResetError::OtherVariable));
/// assert_eq!(reset(&other, Global(1)), Err(ResetError::OtherContext));
/// assert_eq!(reset(&interpreter, Global(1)), Ok(()));
/// assert_eq!(reset(&interpreter, Global(1)), Err(ResetError::Used));
/// assert_eq!((interpreter.get(&Global(1)), change.is_used()), (None, true));
/// ```
#[inline]
pub fn reset<C: Carrier>(
    carrier: &C,
    variable: &VariableOf<C>,
    change: &Change<C>,
) -> Result<(), ResetError<ErrorOf<C>>> {
    if change.is_used() {
        return Err(ResetError::Used);
    }
    if !variable.is(&change.variable) {
        return Err(ResetError::OtherVariable);
    }
    let use_up = || change.used.store(true, Ordering::Relaxed);
    match put_back(carrier, &change.mark, &change.variable, change.old(), use_up) {
        Ok(true) => Ok(()),
        Ok(false) => Err(ResetError::OtherContext),
        Err(error) => Err(ResetError::Carrier(error)),
    }
}

/// Restores the old value of `variable`, or unsets it, and calls `done` then. Returns `false`, and
/// changes nothing, if the current context is not the one of `mark`. O(log n).
#[inline]
pub(super) fn put_back<C: Carrier>(
    carrier: &C,
    mark: &C::UpdateMark,
    variable: &VariableOf<C>,
    old: Option<&ValueOf<C>>,
    done: impl FnOnce(),
) -> Result<bool, ErrorOf<C>> {
    // What is replaced or removed is dropped last, because destructors may run user code.
    if let Some(_replaced) = old.and_then(|old| carrier.put_back(mark, variable, old)) {
        done();
        return Ok(true);
    }
    let (mut replaced, mut removed) = (None, None);
    let restore = |bindings: &mut Bindings<C::Heap>| {
        match old {
            Some(old) => replaced = bindings.set(variable.clone(), old.clone())?,
            None => removed = bindings.remove(variable)?,
        }
        Ok(())
    };
    carrier.revert(mark, restore, done)
}
