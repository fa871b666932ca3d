//! `ContextVar`, a variable whose value depends on the current context.

#![allow(unsafe_code)] // Reads a value as the type of its variable, without a check.

use super::carrier::{LocalHeap, ThreadLocal};
use super::id::VariableId;
use super::token::Token;
use super::value::LocalValue;
use crate::context::bindings::Bindings;
use crate::context::change::{self, Change, ResetError};
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// A variable whose value depends on the current [`Context`](crate::Context).
///
/// It is usually a `static`, but may be a local variable or a field, and may be moved.
///
/// ```
/// use ctxvars::{Context, ContextVar};
///
/// static PRECISION: ContextVar<u32> = ContextVar::with_default("precision", 28);
///
/// let mut request = Context::current();
/// request.run(|| {
///     PRECISION.set(6);
///     assert_eq!(PRECISION.get(), Some(6));
/// });
/// assert_eq!(PRECISION.get(), Some(28)); // the change was made in `request` only
/// ```
///
/// | operation | cost |
/// | --- | --- |
/// | [`new`](Self::new), [`with_default`](Self::with_default), [`name`](Self::name) | O(1) |
/// | [`get`](Self::get), [`with`](Self::with), [`is_set`](Self::is_set) | O(1) if the thread has read the variable since the last change of the context, else O(log n) |
/// | [`set`](Self::set), [`delete`](Self::delete), [`reset`](Self::reset), [`scope`](Self::scope) | O(log n) |
///
/// A value is dropped with the last context, token or closure that holds it. Its destructor may use
/// context variables. Values may hold contexts, whose values hold contexts, to any depth: dropping
/// them takes a bounded stack. Beyond 32 levels, inner values are dropped a little later than their
/// owners, on the same thread.
pub struct ContextVar<T> {
    /// The number of its [`VariableId`]; 0 until it is set for the first time.
    id: AtomicU64,
    name: &'static str,
    default: Option<T>,
    /// Values are written and read, so the type is invariant.
    _invariant: PhantomData<fn(T) -> T>,
}

/// If `ContextVar` were covariant, this would compile, and set a variable of functions on any string
/// to a function on static strings:
///
/// ```compile_fail
/// use ctxvars::ContextVar;
///
/// let variable: ContextVar<fn(&str) -> &'static str> = ContextVar::new("variable");
/// let narrowed: &ContextVar<fn(&'static str) -> &'static str> = &variable;
/// narrowed.set(|text| text);
/// let text = String::from("short-lived");
/// let kept: &'static str = variable.get().unwrap()(&text);
/// ```
const _: () = ();

impl<T: Send + Sync + 'static> ContextVar<T> {
    /// A variable without a default. The `name` appears in debug output; it need not be unique. O(1).
    ///
    /// ```
    /// use ctxvars::ContextVar;
    ///
    /// static USER: ContextVar<String> = ContextVar::new("user");
    ///
    /// assert_eq!(USER.get(), None);
    /// ```
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { id: AtomicU64::new(0), name, default: None, _invariant: PhantomData }
    }

    /// A variable whose value is `default` in contexts in which it is not set. O(1).
    ///
    /// ```
    /// use ctxvars::ContextVar;
    ///
    /// static RETRIES: ContextVar<u32> = ContextVar::with_default("retries", 3);
    ///
    /// assert_eq!(RETRIES.get(), Some(3));
    /// assert!(!RETRIES.is_set());
    /// ```
    #[must_use]
    pub const fn with_default(name: &'static str, default: T) -> Self {
        Self { id: AtomicU64::new(0), name, default: Some(default), _invariant: PhantomData }
    }

    /// The name of the variable. O(1).
    ///
    /// ```
    /// assert_eq!(ctxvars::ContextVar::<u8>::new("level").name(), "level");
    /// ```
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The identity, or [`VariableId::NEVER_SET`], which has no values.
    ///
    /// Relaxed ordering suffices, because the number guards no other memory. A thread that can see a
    /// value of the variable has received it from the thread that set it, and with it the number.
    #[inline]
    fn id(&self) -> VariableId {
        VariableId::from_number(self.id.load(Ordering::Relaxed))
    }

    /// The identity, assigned if the variable has none yet. O(1).
    #[inline]
    fn id_to_set(&self) -> VariableId {
        let id = self.id();
        if id == VariableId::NEVER_SET { self.assign_id() } else { id }
    }

    /// Several threads may call this at once; the first one decides.
    #[cold]
    fn assign_id(&self) -> VariableId {
        let id = VariableId::next();
        match self.id.compare_exchange(0, id.number(), Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => id,
            Err(decided) => VariableId::from_number(decided),
        }
    }

    /// Runs `function` with the current value, or the default, or `None`, and returns its result.
    ///
    /// O(1) if the thread has read the variable since the last change of the context, else O(log n).
    /// The value is not cloned.
    ///
    /// `function` may do anything, even set this variable: its argument stays valid and unchanged.
    ///
    /// ```
    /// use ctxvars::ContextVar;
    ///
    /// static PATH: ContextVar<Vec<String>> = ContextVar::new("path");
    ///
    /// PATH.set(vec!["root".into()]);
    /// assert_eq!(PATH.with(|path| path.map(Vec::len)), Some(1));
    /// ```
    #[inline]
    pub fn with<R>(&self, function: impl FnOnce(Option<&T>) -> R) -> R {
        let default = self.default.as_ref();
        // SAFETY: the identity belongs to this variable, whose values are set by `change_to` and
        // `set_in` only, which make them of a `T`.
        unsafe { ThreadLocal.read(self.id(), |value: Option<&T>| function(value.or(default))) }
    }

    /// A clone of the current value, or of the default, or `None`. Same cost as [`with`](Self::with),
    /// plus the clone.
    ///
    /// Wrap values that are expensive to clone in an [`Arc`](std::sync::Arc).
    ///
    /// ```
    /// use ctxvars::ContextVar;
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// assert_eq!(USER.get(), None);
    /// USER.set("ann");
    /// assert_eq!(USER.get(), Some("ann"));
    /// ```
    #[inline]
    pub fn get(&self) -> Option<T>
    where
        T: Clone,
    {
        self.with(|value| value.cloned())
    }

    /// Whether the variable is set in the current context; a default does not count. Same cost as
    /// [`with`](Self::with).
    ///
    /// ```
    /// use ctxvars::ContextVar;
    ///
    /// static LEVEL: ContextVar<u8> = ContextVar::with_default("level", 0);
    ///
    /// assert!(!LEVEL.is_set());
    /// LEVEL.set(0);
    /// assert!(LEVEL.is_set());
    /// ```
    #[inline]
    pub fn is_set(&self) -> bool {
        // SAFETY: the identity belongs to this variable, whose values are set by `change_to` and
        // `set_in` only, which make them of a `T`.
        unsafe { ThreadLocal.read(self.id(), |value: Option<&T>| value.is_some()) }
    }

    /// Sets the variable to `value` in the current context. O(log n).
    ///
    /// The returned token can undo the change: see [`reset`](Self::reset). Dropping the token has no
    /// effect.
    ///
    /// ```
    /// use ctxvars::ContextVar;
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// USER.set("ann");
    /// let token = USER.set("bob");
    /// assert_eq!(token.old_value(), Some(&"ann"));
    /// assert_eq!(USER.get(), Some("bob"));
    /// ```
    #[inline]
    pub fn set(&self, value: T) -> Token<T> {
        Token::new(self.change_to(value))
    }

    #[inline]
    fn change_to(&self, value: T) -> Change<ThreadLocal> {
        match change::set(&ThreadLocal, self.id_to_set(), LocalValue::new(value)) {
            Ok(change) => change,
            Err(never) => match never {},
        }
    }

    /// Unsets the variable in the current context. It has its default, or no value, afterwards.
    /// O(log n).
    ///
    /// The returned token can undo the change: see [`reset`](Self::reset). Dropping the token has no
    /// effect. The result is `None` if the variable is not set.
    ///
    /// ```
    /// use ctxvars::ContextVar;
    ///
    /// static LEVEL: ContextVar<u8> = ContextVar::with_default("level", 9);
    ///
    /// assert!(LEVEL.delete().is_none()); // a default does not count
    /// LEVEL.set(1);
    /// let token = LEVEL.delete().expect("it is set");
    /// assert_eq!((LEVEL.get(), token.old_value()), (Some(9), Some(&1)));
    /// assert_eq!(LEVEL.reset(token), Ok(()));
    /// assert_eq!(LEVEL.get(), Some(1));
    /// ```
    pub fn delete(&self) -> Option<Token<T>> {
        match change::delete(&ThreadLocal, self.id()) {
            Ok(change) => change.map(Token::new),
            Err(never) => match never {},
        }
    }

    /// Restores the value before the call of [`set`](Self::set) or [`delete`](Self::delete) that
    /// returned `token`, or unsets the variable if it was not set then. O(log n).
    ///
    /// This also undoes later changes of this variable. Tokens can be used in any order.
    ///
    /// # Errors
    ///
    /// The token was made by another variable, or in another context than the current one. The
    /// context is unchanged then, and the token is dropped.
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar, ResetError};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let token = USER.set("ann");
    /// assert_eq!(USER.reset(token), Ok(()));
    /// assert_eq!(USER.get(), None);
    ///
    /// let token = USER.set("bob");
    /// let elsewhere = Context::current().run(|| USER.reset(token));
    /// assert_eq!(elsewhere, Err(ResetError::OtherContext));
    /// ```
    #[inline]
    pub fn reset(&self, token: Token<T>) -> Result<(), ResetError> {
        change::reset(&ThreadLocal, &self.id(), token.change())
    }

    /// Runs `function` with the variable set to `value`, and returns its result. O(log n).
    ///
    /// The old value is restored when `function` returns or panics, even if `function` has set the
    /// variable. Changes of other variables stay.
    ///
    /// Do not return a future from `function`: the scope would end before the future is polled. Use
    /// [`Context::with_value`](crate::Context::with_value) and
    /// [`in_context`](crate::FutureContextExt::in_context) instead.
    ///
    /// ```
    /// use ctxvars::ContextVar;
    ///
    /// static DEPTH: ContextVar<u32> = ContextVar::with_default("depth", 0);
    ///
    /// let inner = DEPTH.scope(1, || DEPTH.scope(2, || DEPTH.get()));
    /// assert_eq!(inner, Some(2));
    /// assert_eq!(DEPTH.get(), Some(0));
    /// ```
    #[inline]
    pub fn scope<R>(&self, value: T, function: impl FnOnce() -> R) -> R {
        /// Undoes the change, also if `function` panics.
        struct Scope(Change<ThreadLocal>);

        impl Drop for Scope {
            #[inline]
            fn drop(&mut self) {
                let undone = change::reset(&ThreadLocal, self.0.variable(), &self.0);
                debug_assert_eq!(
                    undone,
                    Ok(()),
                    "calls are nested, so the same context is current"
                );
            }
        }

        let _scope = Scope(self.change_to(value));
        function()
    }

    /// The value in `bindings`, or `None`. O(log n).
    #[inline]
    pub(super) fn value_in<'a>(&self, bindings: &'a Bindings<LocalHeap>) -> Option<&'a T> {
        match bindings.get(&self.id()) {
            // SAFETY: the identity belongs to this variable, whose values are set by `change_to` and
            // `set_in` only, which make them of a `T`.
            Ok(value) => value.map(|value| unsafe { value.get() }),
            Err(never) => match never {},
        }
    }

    /// Sets the variable to `value` in `bindings`. O(log n).
    pub(super) fn set_in(&self, bindings: &mut Bindings<LocalHeap>, value: T) {
        match bindings.set(self.id_to_set(), LocalValue::new(value)) {
            Ok(old) => drop(old),
            Err(never) => match never {},
        }
    }
}

impl<T> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextVar").field("name", &self.name).finish_non_exhaustive()
    }
}
