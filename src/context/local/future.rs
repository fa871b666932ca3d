//! `InContext`: a future with a context of its own.

use super::context::Context;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

/// Gives futures a context of their own; for all futures.
///
/// It depends on no runtime. Import it as `use ctxvars::FutureContextExt as _;`.
///
/// A task that has no context of its own runs in that of whichever thread polls it, which other
/// tasks on that thread see as well. So a task that sets variables other than by
/// [`scope`](crate::ContextVar::scope) should be given one when it is spawned.
pub trait FutureContextExt: Sized {
    /// This future, run in `context`. O(1), and so is what a poll adds to that of the future.
    ///
    /// The context is entered at each poll and left at each return from it, also if the future
    /// panics. So what the future sets is seen by itself, across awaits and on whichever thread it
    /// is polled, and by nobody else. The future is also dropped in its context, be it done or
    /// cancelled.
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar, FutureContextExt as _};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// async fn greet() -> String {
    ///     format!("hello, {}", USER.get().unwrap_or("stranger"))
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let context = Context::current().with_value(&USER, "ann");
    /// assert_eq!(greet().in_context(context).await, "hello, ann");
    /// assert_eq!(greet().await, "hello, stranger");
    /// # });
    /// ```
    fn in_context(self, context: Context) -> InContext<Self> {
        InContext { future: Some(self), context }
    }

    /// This future, run in a copy of the context that is current now: for spawning a task. O(1).
    ///
    /// ```
    /// use ctxvars::{ContextVar, FutureContextExt as _};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// USER.set("ann");
    /// let task = tokio::spawn(async { USER.get() }.in_current_context());
    /// USER.set("bob");
    /// assert_eq!(task.await.unwrap(), Some("ann"));
    /// # });
    /// ```
    fn in_current_context(self) -> InContext<Self> {
        self.in_context(Context::current())
    }
}

impl<F: Future> FutureContextExt for F {}

pin_project! {
    /// A future with a context of its own: see [`FutureContextExt::in_context`].
    #[must_use = "futures do nothing unless they are awaited or polled"]
    pub struct InContext<F> {
        // `None` only while it is being dropped.
        #[pin]
        future: Option<F>,
        context: Context,
    }

    impl<F> PinnedDrop for InContext<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.context.run(|| this.future.set(None));
        }
    }
}

impl<F> InContext<F> {
    /// The context of the future, with what the future has set so far. O(1).
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar, FutureContextExt as _};
    /// use std::pin::pin;
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut login = pin!(async { drop(USER.set("ann")) }.in_context(Context::new()));
    /// login.as_mut().await;
    /// assert_eq!(login.as_mut().context().get(&USER), Some(&"ann"));
    /// # });
    /// ```
    pub fn context(self: Pin<&mut Self>) -> &Context {
        // Not by `&self`: that would be a shared reference to the whole future, which would
        // invalidate those that the future may hold into itself, by the rules as Miri checks them.
        self.project().context
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(future) = this.future.as_pin_mut() else {
            unreachable!("a future that is being dropped is not polled");
        };
        this.context.run(|| future.poll(task))
    }
}

impl<F: fmt::Debug> fmt::Debug for InContext<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InContext")
            .field("future", &self.future)
            .field("context", &self.context)
            .finish()
    }
}

/// A task may be moved between threads, and be waited for by any.
const _: () = {
    const fn assert_send_and_sync<T: Send + Sync>() {}
    assert_send_and_sync::<InContext<std::future::Ready<()>>>();
};
