//! Tasks of tokio that run in a copy of the current context.
//!
//! A task that is spawned by tokio's functions runs in the context of the thread that polls it. The
//! functions of this module give it a copy of the context in which it is spawned. What it sets is not
//! visible elsewhere.
//!
//! ```
//! use ctxvars::ContextVar;
//! use ctxvars::tokio::JoinSetExt as _;
//! use tokio::task::JoinSet;
//!
//! static USER: ContextVar<&str> = ContextVar::new("user");
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! USER.set("ann");
//! let task = ctxvars::tokio::spawn(async { USER.get() });
//! let blocking = ctxvars::tokio::spawn_blocking(|| USER.get());
//! let mut tasks = JoinSet::new();
//! tasks.spawn_in_current_context(async { USER.get() });
//! USER.set("bob");
//! assert_eq!(task.await.unwrap(), Some("ann"));
//! assert_eq!(blocking.await.unwrap(), Some("ann"));
//! assert_eq!(tasks.join_all().await, [Some("ann")]);
//! # });
//! ```

use crate::context::{Context, FutureContextExt as _};
use ::tokio::task::{self, AbortHandle, JoinHandle, JoinSet};

/// [`tokio::task::spawn`](::tokio::task::spawn), in a copy of the current context. O(1), and the
/// overhead of each poll is O(1).
///
/// # Panics
///
/// It is called outside of a runtime of tokio.
///
/// ```
/// use ctxvars::ContextVar;
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// USER.set("ann");
/// assert_eq!(ctxvars::tokio::spawn(async { USER.get() }).await.unwrap(), Some("ann"));
/// # });
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    task::spawn(future.in_current_context())
}

/// [`tokio::task::spawn_local`](::tokio::task::spawn_local), in a copy of the current context. O(1), and
/// the overhead of each poll is O(1).
///
/// # Panics
///
/// It is called outside of a `LocalSet` of tokio.
///
/// ```
/// use ctxvars::ContextVar;
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// let local = tokio::task::LocalSet::new();
/// # local.block_on(&runtime, async {
/// USER.set("ann");
/// assert_eq!(ctxvars::tokio::spawn_local(async { USER.get() }).await.unwrap(), Some("ann"));
/// # });
/// ```
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: 'static> + 'static,
{
    task::spawn_local(future.in_current_context())
}

/// [`tokio::task::spawn_blocking`](::tokio::task::spawn_blocking), in a copy of the current context. O(1).
///
/// # Panics
///
/// It is called outside of a runtime of tokio.
///
/// ```
/// use ctxvars::ContextVar;
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// USER.set("ann");
/// assert_eq!(ctxvars::tokio::spawn_blocking(|| USER.get()).await.unwrap(), Some("ann"));
/// # });
/// ```
#[track_caller]
pub fn spawn_blocking<F, R>(function: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    task::spawn_blocking(Context::current().bind(function))
}

/// Adds tasks to a [`JoinSet`] that run in copies of the current context.
///
/// Import the trait as `use ctxvars::tokio::JoinSetExt as _;`. See [the module](self) for an example.
pub trait JoinSetExt<T>: private::Sealed {
    /// [`JoinSet::spawn`], in a copy of the current context. O(1), and the overhead of each poll is O(1).
    ///
    /// # Panics
    ///
    /// It is called outside of a runtime of tokio.
    #[track_caller]
    fn spawn_in_current_context<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send;

    /// [`JoinSet::spawn_blocking`], in a copy of the current context. O(1).
    ///
    /// # Panics
    ///
    /// It is called outside of a runtime of tokio.
    #[track_caller]
    fn spawn_blocking_in_current_context<F>(&mut self, function: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send;
}

impl<T: 'static> JoinSetExt<T> for JoinSet<T> {
    fn spawn_in_current_context<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.spawn(future.in_current_context())
    }

    fn spawn_blocking_in_current_context<F>(&mut self, function: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.spawn_blocking(Context::current().bind(function))
    }
}

mod private {
    /// Methods may be added to the trait, because no other crate implements it.
    pub trait Sealed {}

    impl<T> Sealed for ::tokio::task::JoinSet<T> {}
}
