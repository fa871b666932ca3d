//! `Context`, a set of values for variables.

use super::carrier::{LocalHeap, ThreadLocal};
use super::entries::Entries;
#[cfg(feature = "carrier")]
use super::id::VariableId;
#[cfg(feature = "carrier")]
use super::value::LocalValue;
use super::variable::ContextVar;
#[cfg(feature = "carrier")]
use super::variable::set_in;
use crate::context::bindings::Bindings;
use crate::context::version::Version;
use std::fmt;

/// A mapping from [`ContextVar`]s to values, in which functions can [run](Self::run).
///
/// A clone is a separate context with the same values. A context can be stored, sent to another
/// thread, and read by several threads at once.
///
/// ```
/// use ctxvars::{Context, ContextVar};
/// use std::thread;
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// USER.set("ann");
/// let seen = thread::spawn(Context::current().bind(|| USER.get())).join().unwrap();
/// assert_eq!(seen, Some("ann")); // a new thread starts with an empty context
/// ```
///
/// | operation | cost |
/// | --- | --- |
/// | [`new`](Self::new), [`current`](Self::current), `clone`, [`run`](Self::run), [`len`](Self::len) | O(1) |
/// | [`get`](Self::get), [`contains`](Self::contains), [`with_value`](Self::with_value) | O(log n) |
///
/// For futures, see [`in_context`](crate::FutureContextExt::in_context).
#[derive(Default)]
pub struct Context {
    bindings: Bindings<LocalHeap>,
    /// `Version::EMPTY` until the first token is made in this context.
    identity: Version,
}

impl Context {
    /// An empty context. O(1).
    ///
    /// ```
    /// assert!(ctxvars::Context::new().is_empty());
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { bindings: Bindings::new(), identity: Version::EMPTY }
    }

    /// A copy of the current context. O(1).
    ///
    /// Later changes of one do not affect the other.
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// USER.set("ann");
    /// let copy = Context::current();
    /// USER.set("bob");
    /// assert_eq!(copy.get(&USER), Some(&"ann"));
    /// ```
    #[must_use]
    #[inline]
    pub fn current() -> Self {
        Self { bindings: ThreadLocal.snapshot(), identity: Version::EMPTY }
    }

    /// Runs `function` in this context and returns its result. Variables that `function` sets are
    /// changed in this context only. O(1).
    ///
    /// The previous context is restored when `function` returns or panics. The exclusive borrow of
    /// `self` prevents entering a context twice at once.
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let mut context = Context::new();
    /// context.run(|| USER.set("ann"));
    /// assert_eq!(USER.get(), None);
    /// assert_eq!(context.run(|| USER.get()), Some("ann"));
    /// ```
    #[inline]
    pub fn run<R>(&mut self, function: impl FnOnce() -> R) -> R {
        ThreadLocal.enter(&mut self.bindings, &mut self.identity, function)
    }

    /// The value of `variable` in this context, or `None` if it is not set. O(log n).
    ///
    /// Defaults do not count, as in Python's `context[variable]`. To include them, use
    /// `context.run(|| variable.get())`.
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar};
    ///
    /// static LEVEL: ContextVar<u8> = ContextVar::with_default("level", 9);
    ///
    /// let mut context = Context::new();
    /// assert_eq!(context.get(&LEVEL), None);
    /// assert_eq!(context.run(|| LEVEL.get()), Some(9));
    /// ```
    #[inline]
    pub fn get<T: Send + Sync + 'static>(&self, variable: &ContextVar<T>) -> Option<&T> {
        variable.value_in(&self.bindings)
    }

    /// Whether `variable` is set in this context. O(log n).
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// assert!(!Context::new().contains(&USER));
    /// assert!(Context::new().with_value(&USER, "ann").contains(&USER));
    /// ```
    pub fn contains<T: Send + Sync + 'static>(&self, variable: &ContextVar<T>) -> bool {
        self.get(variable).is_some()
    }

    /// Returns this context with `variable` set to `value`. O(log n).
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    /// static LEVEL: ContextVar<u8> = ContextVar::new("level");
    ///
    /// let request = Context::current().with_value(&USER, "ann").with_value(&LEVEL, 3);
    /// assert_eq!(request.get(&USER), Some(&"ann"));
    /// assert_eq!(request.get(&LEVEL), Some(&3));
    /// assert_eq!(USER.get(), None);
    /// ```
    #[must_use = "the returned context has the value, not the current one"]
    pub fn with_value<T>(mut self, variable: &ContextVar<T>, value: T) -> Self
    where
        T: Send + Sync + 'static,
    {
        variable.set_in(&mut self.bindings, value);
        self
    }

    /// Sets the variable with this identity, whose type `value` has, or unsets it. O(log n).
    #[cfg(feature = "carrier")]
    pub(super) fn assign(&mut self, variable: VariableId, value: Option<LocalValue>) {
        let Some(value) = value else {
            return match self.bindings.remove(&variable) {
                Ok(removed) => drop(removed),
                Err(never) => match never {},
            };
        };
        set_in(&mut self.bindings, variable, value);
    }

    /// The number of variables that are set. O(1).
    ///
    /// A [dropped variable](ContextVar#dropping-a-variable) may count for some time.
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// assert_eq!(Context::new().with_value(&USER, "ann").len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Whether no variable is set. O(1).
    ///
    /// ```
    /// assert!(ctxvars::Context::new().is_empty());
    /// ```
    pub const fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// Iterates over the variables that are set and their values, in an unspecified order. O(n).
    ///
    /// The debug output of a context shows the same entries.
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user").with_debug();
    ///
    /// let context = Context::new().with_value(&USER, "ann");
    /// for entry in &context {
    ///     assert_eq!(entry.name(), "user");
    ///     assert_eq!(entry.get(&USER), Some(&"ann"));
    ///     assert_eq!(format!("{entry:?}"), r#""ann""#);
    /// }
    /// assert_eq!(context.iter().count(), 1);
    /// ```
    pub fn iter(&self) -> Entries<'_> {
        Entries::new(self.bindings.iter())
    }

    /// A closure that runs `function` in this context, wherever it is called. O(1).
    ///
    /// It can be called once. It is `Send` if `function` is. If it is dropped without a call,
    /// `function` is dropped in the context that is current then.
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar};
    /// use std::thread;
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let context = Context::current().with_value(&USER, "ann");
    /// let thread = thread::spawn(context.bind(|| USER.get()));
    /// assert_eq!(thread.join().unwrap(), Some("ann"));
    /// ```
    #[must_use = "the function runs when the closure is called"]
    pub fn bind<F, R>(mut self, function: F) -> impl FnOnce() -> R
    where
        F: FnOnce() -> R,
    {
        move || self.run(function)
    }

    /// A closure that runs `function` with its argument in a copy of this context, for callbacks.
    /// O(1), and so is the overhead of each call.
    ///
    /// It can be called any number of times, and by several threads at once if `function` can. Each
    /// call runs in a new copy of the context, so calls do not see each other's changes. Pass several
    /// arguments as a tuple.
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar};
    ///
    /// static TOTAL: ContextVar<u32> = ContextVar::new("total");
    ///
    /// let add = |n| {
    ///     TOTAL.set(TOTAL.get().unwrap_or(0) + n);
    ///     TOTAL.get()
    /// };
    /// let callback = Context::new().with_value(&TOTAL, 10).bind_fn(add);
    /// assert_eq!([callback(1), callback(2)], [Some(11), Some(12)]);
    /// assert_eq!(TOTAL.get(), None);
    /// ```
    #[must_use = "the function runs when the closure is called"]
    pub fn bind_fn<F, A, R>(self, function: F) -> impl Fn(A) -> R
    where
        F: Fn(A) -> R,
    {
        move |argument| self.clone().run(|| function(argument))
    }
}

impl Clone for Context {
    #[inline]
    fn clone(&self) -> Self {
        Self { bindings: self.bindings.clone(), identity: Version::EMPTY }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context ")?;
        f.debug_map().entries(self.iter().map(|entry| (entry.name(), entry))).finish()
    }
}

/// Contexts can be sent to other threads, and so can closures and futures that own one.
const _: () = {
    const fn assert_send_and_sync<T: Send + Sync>() {}
    assert_send_and_sync::<Context>();
};
