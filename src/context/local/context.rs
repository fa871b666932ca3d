//! `Context`: variables with their values, which can be made current.

use super::carrier::{LocalHeap, ThreadLocal};
use super::variable::ContextVar;
use crate::context::bindings::Bindings;
use crate::context::version::Version;
use std::fmt;

/// A set of variables with their values, which can be made current for the time of a call.
///
/// A clone is another context with the same values. A context that is not current is a value like
/// any other: it can be stored, sent to another thread, and read by several at once.
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
    /// Empty until the first token is made in this context.
    identity: Version,
}

impl Context {
    /// A context in which no variable has been set. O(1).
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
    /// What is set later, here or there, is not seen in the other.
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

    /// Runs `f` in this context and returns its result: what `f` sets is seen here and,
    /// afterwards, nowhere else. O(1).
    ///
    /// The context that was current before is current again afterwards, also if `f` panics. That
    /// a context is not entered twice at once is checked by the compiler.
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
    pub fn run<R>(&mut self, f: impl FnOnce() -> R) -> R {
        ThreadLocal.enter(&mut self.bindings, &mut self.identity, f)
    }

    /// The value that `variable` has been set to in this context, `None` if it has not. O(log n).
    ///
    /// A default is not a value of the context, as in Python's `context[variable]`. So `None` tells
    /// that nothing was set; for the default, write `context.run(|| variable.get())`.
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

    /// Whether `variable` has been set in this context. O(log n).
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

    /// This context, with `variable` set to `value`. O(log n).
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
    #[must_use = "the context is changed, not the current one"]
    pub fn with_value<T>(mut self, variable: &ContextVar<T>, value: T) -> Self
    where
        T: Send + Sync + 'static,
    {
        variable.bind(&mut self.bindings, value);
        self
    }

    /// Number of variables that have been set. O(1).
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

    /// Whether no variable has been set. O(1).
    ///
    /// ```
    /// assert!(ctxvars::Context::new().is_empty());
    /// ```
    pub const fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// A closure that runs `f` in this context, wherever it is called. O(1).
    ///
    /// It can be called once, and sent to another thread if `f` can. If it is never called, `f` is
    /// dropped in whatever context is current then.
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
    pub fn bind<F, R>(mut self, f: F) -> impl FnOnce() -> R
    where
        F: FnOnce() -> R,
    {
        move || self.run(f)
    }

    /// A closure that runs `f` with its argument in a copy of this context: for callbacks. O(1),
    /// and so is what a call adds to that of `f`.
    ///
    /// It can be called any number of times, and by several threads at once if `f` can: each call
    /// has a copy of its own, so that all start from the same values, and what one sets is seen by
    /// no other. Several arguments are one tuple.
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
    pub fn bind_fn<F, A, R>(self, f: F) -> impl Fn(A) -> R
    where
        F: Fn(A) -> R,
    {
        move |argument| self.clone().run(|| f(argument))
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
        f.debug_struct("Context").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Contexts, and with them closures and futures that have one, go between threads.
const _: () = {
    const fn assert_send_and_sync<T: Send + Sync>() {}
    assert_send_and_sync::<Context>();
};
