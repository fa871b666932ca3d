//! `ContextVar`: the variables of Rust programs.

#![allow(unsafe_code)] // Reads a value as the one type of its variable, without a check.

use super::carrier::{LocalHeap, ThreadLocal};
use super::id::VariableId;
use super::token::Token;
use super::value::LocalValue;
use crate::context::bindings::Bindings;
use crate::context::change::{self, Change, ResetError};
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// A variable whose value belongs to the current context.
///
/// It is made for `static` items, and may as well be a local or a field, and be moved.
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
/// assert_eq!(PRECISION.get(), Some(28)); // what the request set stayed there
/// ```
///
/// | operation | cost |
/// | --- | --- |
/// | [`new`](Self::new), [`with_default`](Self::with_default), [`name`](Self::name) | O(1) |
/// | [`get`](Self::get), [`with`](Self::with), [`is_set`](Self::is_set) | O(1) if the variable was read since the last change of the context, else O(log n) |
/// | [`set`](Self::set), [`delete`](Self::delete), [`reset`](Self::reset), [`scope`](Self::scope) | O(log n) |
///
/// A value is dropped when no context, token or closure holds it any more. Its destructor may use
/// context variables. Values nested in one another's contexts to any depth are dropped with a
/// bounded stack; beyond a few dozen levels the inner ones are dropped a little later than their
/// owner, on the same thread.
pub struct ContextVar<T> {
    /// The number of its [`VariableId`], 0 until it is set anywhere.
    id: AtomicU64,
    name: &'static str,
    default: Option<T>,
    /// Values go in and come out, so one variable is not of two types, be one a subtype of the other.
    _invariant: PhantomData<fn(T) -> T>,
}

/// What would set a variable of functions for any text to a function for static texts only:
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
    /// A variable without a default. The `name` is for people; it need not be unique. O(1).
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

    /// A variable that has the value `default` where it has not been set. O(1).
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

    /// The name that the variable was made with. O(1).
    ///
    /// ```
    /// assert_eq!(ctxvars::ContextVar::<u8>::new("level").name(), "level");
    /// ```
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The identity if the variable has been set anywhere, else one that nothing is bound to.
    ///
    /// Relaxed: the number guards no other memory. Whoever can see a value of the variable has got
    /// it from the thread that set it, and with it the number.
    #[inline]
    fn id(&self) -> VariableId {
        VariableId::from_number(self.id.load(Ordering::Relaxed))
    }

    /// The identity. O(1).
    #[inline]
    fn id_to_set(&self) -> VariableId {
        let id = self.id();
        if id == VariableId::NEVER_SET { self.assign_id() } else { id }
    }

    /// Several threads may come here at once; the first one decides.
    #[cold]
    fn assign_id(&self) -> VariableId {
        let id = VariableId::next();
        match self.id.compare_exchange(0, id.number(), Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => id,
            Err(decided) => VariableId::from_number(decided),
        }
    }

    /// Runs `f` with the current value, or the default, or `None`, and returns its result.
    ///
    /// O(1) if the variable was read since the last change of the context, else O(log n). The value
    /// is neither cloned nor counted.
    ///
    /// `f` may do anything, setting this variable included: it keeps seeing the same value.
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
    pub fn with<R>(&self, f: impl FnOnce(Option<&T>) -> R) -> R {
        let default = self.default.as_ref();
        // SAFETY: only `set` and `bind` below bind this variable, to a `T`.
        unsafe { ThreadLocal.read(self.id(), |value: Option<&T>| f(value.or(default))) }
    }

    /// A clone of the current value, or of the default, or `None`. Costs as [`with`](Self::with).
    ///
    /// Values that are expensive to clone are best kept in an [`Arc`](std::sync::Arc).
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

    /// Whether the variable has been set in the current context; a default does not count. Costs
    /// as [`with`](Self::with).
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
        // SAFETY: only `set` and `bind` below bind this variable, to a `T`.
        unsafe { ThreadLocal.read(self.id(), |value: Option<&T>| value.is_some()) }
    }

    /// Sets the variable to `value` in the current context. O(log n).
    ///
    /// Returns a token, with which [`reset`](Self::reset) can undo that. A token that is dropped
    /// has no effect: the value stays.
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

    /// Takes the value of the variable away in the current context, so that it is as if never set
    /// there: it has its default, or none. O(log n).
    ///
    /// Returns a token, with which [`reset`](Self::reset) can undo that, or `None` if the variable
    /// has not been set. A token that is dropped has no effect.
    ///
    /// ```
    /// use ctxvars::ContextVar;
    ///
    /// static LEVEL: ContextVar<u8> = ContextVar::with_default("level", 9);
    ///
    /// assert!(LEVEL.delete().is_none()); // a default is not a value that was set
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

    /// Gives the variable the value that it had before the call of [`set`](Self::set) or
    /// [`delete`](Self::delete) that returned `token`, or takes its value away if it had none.
    /// O(log n).
    ///
    /// Changes that were made since, to this variable, are undone with it; tokens need not be used
    /// in the order of the changes.
    ///
    /// # Errors
    ///
    /// The token is another variable's, or the current context is not the one it was made in;
    /// nothing has changed then, and the token is gone.
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

    /// Runs `f` with the variable set to `value`, and returns its result. O(log n).
    ///
    /// Afterwards the variable has the value that it had before, or none, whatever `f` set it to,
    /// and also if `f` panics. What `f` set in other variables stays.
    ///
    /// For a future, see [`Context::with_value`](crate::context::Context::with_value): a scope that ends
    /// with the call would end before the future is polled.
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
    pub fn scope<R>(&self, value: T, f: impl FnOnce() -> R) -> R {
        /// Undoes the change, also when `f` panics.
        struct Scope(Change<ThreadLocal>);

        impl Drop for Scope {
            #[inline]
            fn drop(&mut self) {
                let undone = change::reset(&ThreadLocal, self.0.variable(), &self.0);
                debug_assert_eq!(undone, Ok(()), "calls nest, so the context is the same");
            }
        }

        let _scope = Scope(self.change_to(value));
        f()
    }

    /// The value in `bindings`, if there is one. O(log n).
    #[inline]
    pub(super) fn value_in<'a>(&self, bindings: &'a Bindings<LocalHeap>) -> Option<&'a T> {
        match bindings.get(&self.id()) {
            // SAFETY: only `set` above and `bind` below bind this variable, to a `T`.
            Ok(value) => value.map(|value| unsafe { value.get() }),
            Err(never) => match never {},
        }
    }

    /// Sets the variable to `value` in `bindings`. O(log n).
    pub(super) fn bind(&self, bindings: &mut Bindings<LocalHeap>, value: T) {
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
