//! `InContext`, a future that runs in its own context.

use super::context::Context;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

/// Runs a future in a separate context. The trait is implemented for all futures, and works with
/// any async runtime.
///
/// Without it, a task runs in the context of the thread that polls it, and other tasks on that thread
/// see the variables that it sets. So wrap a task when you spawn it, if it sets variables other than
/// by [`scope`](crate::ContextVar::scope) around synchronous code.
///
/// Import the trait as `use ctxvars::FutureContextExt as _;`.
pub trait FutureContextExt: Sized {
    /// Wraps this future so that it runs in `context`. O(1), and so is the overhead of each poll.
    ///
    /// Each poll enters the context, and leaves it when the poll returns or panics. So the variables
    /// that the future sets keep their values across awaits, on whichever thread it is polled, and
    /// other tasks do not see them. The future is also dropped in its context, when it has completed
    /// or is cancelled.
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
        InContext::new(self, context)
    }

    /// Wraps this future so that it runs in a copy of the current context, as spawned tasks should.
    /// O(1).
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
    /// A future or a stream that runs in its own context: see [`FutureContextExt::in_context`].
    #[must_use = "futures do nothing unless they are awaited or polled"]
    pub struct InContext<F> {
        // `None` only while the value is being dropped.
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
    /// A future or stream that runs in `context`. O(1).
    pub(in crate::context) const fn new(future: F, context: Context) -> Self {
        Self { future: Some(future), context }
    }

    /// The context of the future, with the variables that the future has set so far. O(1).
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
        // A method with `&self` would create a shared reference to the whole future. By the rules
        // that Miri checks, this would invalidate references that the future holds into itself.
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

#[cfg(feature = "futures")]
impl<S: futures_core::Stream> futures_core::Stream for InContext<S> {
    type Item = S::Item;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let Some(stream) = this.future.as_pin_mut() else {
            unreachable!("a stream that is being dropped is not polled");
        };
        this.context.run(|| stream.poll_next(task))
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

/// A wrapped future can be moved between threads.
const _: () = {
    const fn assert_send_and_sync<T: Send + Sync>() {}
    assert_send_and_sync::<InContext<std::future::Ready<()>>>();
};
