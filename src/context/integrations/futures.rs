//! Streams that run in a context.

use crate::context::{Context, InContext};
use futures_core::Stream;

/// Runs a stream in a separate context, as [`FutureContextExt`](crate::FutureContextExt) runs a future.
/// The trait is implemented for all streams.
///
/// Import the trait as `use ctxvars::StreamContextExt as _;`.
pub trait StreamContextExt: Stream + Sized {
    /// Wraps this stream so that it runs in `context`. O(1), and so is the overhead of each item.
    ///
    /// Each poll enters the context, and leaves it when the poll returns or panics. The stream is also
    /// dropped in its context. The consumer of the items runs in its own context.
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar, StreamContextExt as _};
    /// use futures_core::Stream;
    /// use std::pin::{Pin, pin};
    /// use std::task::{self, Poll, Waker};
    ///
    /// static COUNT: ContextVar<u32> = ContextVar::with_default("count", 0);
    ///
    /// struct Numbers;
    ///
    /// impl Stream for Numbers {
    ///     type Item = u32;
    ///
    ///     fn poll_next(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Option<u32>> {
    ///         let next = COUNT.get().map(|count| count + 1);
    ///         COUNT.set(next.unwrap_or_default());
    ///         Poll::Ready(next)
    ///     }
    /// }
    ///
    /// let mut numbers = pin!(Numbers.in_context(Context::new().with_value(&COUNT, 7)));
    /// let mut task = task::Context::from_waker(Waker::noop());
    /// assert_eq!(numbers.as_mut().poll_next(&mut task), Poll::Ready(Some(8)));
    /// assert_eq!(numbers.as_mut().poll_next(&mut task), Poll::Ready(Some(9)));
    /// assert_eq!(COUNT.get(), Some(0));
    /// ```
    fn in_context(self, context: Context) -> InContext<Self> {
        InContext::new(self, context)
    }

    /// Wraps this stream so that it runs in a copy of the current context. O(1).
    ///
    /// See [`in_context`](Self::in_context) for an example.
    fn in_current_context(self) -> InContext<Self> {
        self.in_context(Context::current())
    }
}

impl<S: Stream> StreamContextExt for S {}
