//! `ContextVar`, a variable whose value depends on the current context.

#![allow(unsafe_code)] // Reads a value as the type of its variable, without a check.

use super::carrier::{LocalHeap, ThreadLocal};
use super::default::LazyDefault;
use super::entered::Entered;
use super::id::VariableId;
use super::prune;
use super::slots::{Description, Show};
use super::token::Token;
use super::value::LocalValue;
use crate::context::bindings::Bindings;
use crate::context::change::{self, Change, ResetError};
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};

/// A variable whose value depends on the current [`Context`](crate::Context).
///
/// It is usually a `static`, but may be a local variable or a field, and may be moved. A variable that
/// is dropped takes its value out of the current context at once. Other contexts that hold a value
/// keep it until variables are added to them, or until they are dropped: see
/// [below](#dropping-a-variable).
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
///
/// # Dropping a variable
///
/// The current context of the thread on which the variable is dropped loses its value at once. Other
/// contexts cannot be changed from there: they may be copies, or belong to other threads. In these, the
/// value is unreachable. A context of 16 variables or more drops such values when other variables are
/// added to it, within about a quarter as many additions as it has variables. So a context does not
/// grow with the number of dropped variables. To release a value earlier, [delete](Self::delete) it
/// there, or set it by [`scope`](Self::scope) or [`Context::with_value`](crate::Context::with_value).
///
/// If a destructor of such a value panics, the panic leaves the drop of the variable, or the call that
/// was to add the other variable. The other variable is unchanged then.
pub struct ContextVar<T> {
    /// The number of its [`VariableId`]; 0 until it is set for the first time.
    id: AtomicU64,
    name: &'static str,
    /// Writes a value, if it is to appear in debug output.
    show: Option<Show>,
    default: Option<T>,
    /// A default that is made when it is first needed.
    lazy_default: Option<LazyDefault<T>>,
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
        Self::made_with(name, None, None)
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
        Self::made_with(name, Some(default), None)
    }

    /// A variable whose default is the result of `make`, which is called when the default is first
    /// needed. O(1).
    ///
    /// All contexts share the default. `make` runs in an empty context, so its result does not depend
    /// on the context that needs it first. Other threads that need the default meanwhile wait. If
    /// `make` panics, the next read calls it again. `make` must not read the default of the same
    /// variable: that would panic or deadlock, as in [`OnceLock`](std::sync::OnceLock).
    ///
    /// ```
    /// use ctxvars::ContextVar;
    ///
    /// static GREETING: ContextVar<String> =
    ///     ContextVar::with_default_fn("greeting", || "hello".to_owned());
    ///
    /// assert_eq!(GREETING.get().as_deref(), Some("hello"));
    /// assert!(!GREETING.is_set());
    /// ```
    #[must_use]
    pub const fn with_default_fn(name: &'static str, make: fn() -> T) -> Self {
        Self::made_with(name, None, Some(LazyDefault::new(make)))
    }

    const fn made_with(
        name: &'static str,
        default: Option<T>,
        lazy_default: Option<LazyDefault<T>>,
    ) -> Self {
        let id = AtomicU64::new(0);
        Self { id, name, show: None, default, lazy_default, _invariant: PhantomData }
    }

    /// Returns this variable, whose values appear in the debug output of contexts. O(1).
    ///
    /// Without it, only the name appears: a value may be secret.
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user").with_debug();
    /// static SECRET: ContextVar<&str> = ContextVar::new("secret");
    ///
    /// let context = Context::new().with_value(&USER, "ann");
    /// assert_eq!(format!("{context:?}"), r#"Context {"user": "ann"}"#);
    /// let context = Context::new().with_value(&SECRET, "xyz");
    /// assert_eq!(format!("{context:?}"), r#"Context {"secret": _}"#);
    /// ```
    #[must_use = "the returned variable shows its values"]
    pub const fn with_debug(mut self) -> Self
    where
        T: fmt::Debug,
    {
        self.show = Some(show::<T>);
        self
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
    pub(super) fn id(&self) -> VariableId {
        VariableId::from_number(self.id.load(Ordering::Relaxed))
    }

    /// The identity, assigned if the variable has none yet. O(1).
    ///
    /// The description of the variable, which iteration over a context reads, was written before.
    #[inline]
    pub(super) fn id_to_set(&self) -> VariableId {
        let id = VariableId::from_number(self.id.load(Ordering::Acquire));
        if id == VariableId::NEVER_SET { self.assign_id() } else { id }
    }

    /// Several threads may call this at once; the first one decides.
    #[cold]
    fn assign_id(&self) -> VariableId {
        let id = VariableId::next(Description { name: self.name, show: self.show });
        match self.id.compare_exchange(0, id.number(), Ordering::Release, Ordering::Acquire) {
            Ok(_) => id,
            Err(decided) => {
                id.release();
                VariableId::from_number(decided)
            }
        }
    }

    /// The default, which may have to be made, by user code.
    #[inline]
    fn default(&self) -> Option<&T> {
        match (&self.default, &self.lazy_default) {
            (Some(default), _) => Some(default),
            (None, Some(lazy)) => Some(lazy.get()),
            (None, None) => None,
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
        // SAFETY: the identity belongs to this variable, whose values are set by `change_to` and
        // `set_in` only, which make them of a `T`.
        unsafe { ThreadLocal.read(self.id(), || self.default(), function) }
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
        unsafe { ThreadLocal.read(self.id(), || None, |value: Option<&T>| value.is_some()) }
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

    #[cold]
    #[inline(never)]
    fn prune_before_setting(&self) {
        ThreadLocal.prune_before_setting(self.id_to_set());
    }

    #[inline]
    fn change_to(&self, value: T) -> Change<ThreadLocal> {
        if prune::may_be_needed() {
            self.prune_before_setting();
        }
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

    /// Sets the variable to `value` until the returned guard is dropped. O(log n).
    ///
    /// Use it where a closure for [`scope`](Self::scope) does not fit. Guards may be dropped in any
    /// order, and each one restores what the variable had before: if the guard of a later `enter` in
    /// the same context is alive, its value stays, and that guard restores the value from before both.
    /// As with `scope`, changes by [`set`](Self::set) meanwhile are undone.
    ///
    /// If another context is current when the guard is dropped, both contexts are left as they are. A
    /// guard is not `Send`, so a future that holds one across an await cannot be spawned on several
    /// threads. It can be spawned on one thread, [in its context](crate::FutureContextExt::in_context).
    /// A guard that is leaked, by [`mem::forget`], never restores its variable, and neither do the
    /// guards of earlier calls.
    ///
    /// ```
    /// use ctxvars::ContextVar;
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let ann = USER.enter("ann");
    /// let bob = USER.enter("bob");
    /// drop(ann);
    /// assert_eq!(USER.get(), Some("bob"));
    /// drop(bob);
    /// assert_eq!(USER.get(), None);
    /// ```
    pub fn enter(&self, value: T) -> Entered<'_, T> {
        Entered::new(self.change_to(value))
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
        set_in(bindings, self.id_to_set(), LocalValue::new(value));
    }
}

/// Sets the variable with this identity, whose type `value` has, in `bindings`. O(log n).
pub(super) fn set_in(bindings: &mut Bindings<LocalHeap>, variable: VariableId, value: LocalValue) {
    if prune::may_be_needed() && prune::is_due(bindings, variable) {
        drop(prune::prune(bindings));
    }
    match bindings.set(variable, value) {
        Ok(old) => drop(old),
        Err(never) => match never {},
    }
}

/// Writes the debug output of a value.
///
/// # Safety
///
/// The value has the type `T`.
unsafe fn show<T: fmt::Debug>(value: &LocalValue, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // SAFETY: the caller guarantees that the value has the type `T`.
    unsafe { value.get::<T>() }.fmt(f)
}

impl<T> Drop for ContextVar<T> {
    fn drop(&mut self) {
        let id = VariableId::from_number(mem::take(self.id.get_mut()));
        if id != VariableId::NEVER_SET {
            // The slot first, because a destructor of the value may panic.
            id.release();
            match change::delete(&ThreadLocal, id) {
                Ok(deleted) => drop(deleted),
                Err(never) => match never {},
            }
        }
    }
}

impl<T> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextVar").field("name", &self.name).finish_non_exhaustive()
    }
}
