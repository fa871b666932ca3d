//! Contexts that carry a span of `tracing`.
//!
//! A span is current on a thread, or in a future that is instrumented. A context does not enter spans
//! by itself, so that entering it stays cheap. With this module, code can store the current span in a
//! context, which other code enters later, in another place, together with the span.
//!
//! ```
//! use ctxvars::Context;
//! use ctxvars::tracing::ContextSpanExt as _;
//! use std::thread;
//!
//! let span = tracing::info_span!("request");
//! let context = span.in_scope(|| Context::current().with_current_span());
//! thread::spawn(context.bind_in_span(|| tracing::info!("in the span of the request"))).join().unwrap();
//! ```
//!
//! For a future or a stream that is spawned at once, `tracing::Instrument` suffices:
//! `work().in_current_span().in_current_context()`.

use crate::context::{Context, ContextVar, FutureContextExt as _, InContext};
use ::tracing::Span;
use ::tracing::instrument::{Instrument as _, Instrumented};

/// The span that a context carries.
static SPAN: ContextVar<Span> = ContextVar::new("tracing::Span").with_debug();

/// Stores a span in a context, and enters both.
///
/// Import the trait as `use ctxvars::tracing::ContextSpanExt as _;`. See [the module](self) for an
/// example.
pub trait ContextSpanExt: Sized {
    /// Returns this context with `span`, which it carries to all its copies. O(log n).
    ///
    /// ```
    /// use ctxvars::Context;
    /// use ctxvars::tracing::ContextSpanExt as _;
    /// use tracing::Span;
    ///
    /// assert!(Context::new().with_span(Span::none()).span().is_some());
    /// assert!(Context::new().span().is_none());
    /// ```
    #[must_use = "the returned context has the span, not the current one"]
    fn with_span(self, span: Span) -> Self;

    /// Returns this context with the current span. O(log n).
    ///
    /// See [the module](self) for an example.
    #[must_use = "the returned context has the span, not the current one"]
    fn with_current_span(self) -> Self {
        self.with_span(Span::current())
    }

    /// The span that this context carries. O(log n).
    ///
    /// See [`with_span`](Self::with_span) for an example.
    fn span(&self) -> Option<&Span>;

    /// Runs `function` in this context and in the span that it carries. O(log n).
    ///
    /// Without a span, this is [`Context::run`].
    fn run_in_span<R>(&mut self, function: impl FnOnce() -> R) -> R;

    /// A closure that runs `function` in this context and in the span that it carries, wherever it is
    /// called. O(log n).
    ///
    /// See [the module](self) for an example.
    #[must_use = "the function runs when the closure is called"]
    fn bind_in_span<F: FnOnce() -> R, R>(self, function: F) -> impl FnOnce() -> R;

    /// Wraps a future so that it runs in this context and in the span that it carries. O(log n).
    ///
    /// ```
    /// use ctxvars::Context;
    /// use ctxvars::tracing::ContextSpanExt as _;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let context = Context::current().with_span(tracing::info_span!("request"));
    /// tokio::spawn(context.wrap_in_span(async { tracing::info!("in the span") })).await.unwrap();
    /// # });
    /// ```
    fn wrap_in_span<F: Future>(self, future: F) -> Instrumented<InContext<F>>;
}

impl ContextSpanExt for Context {
    fn with_span(self, span: Span) -> Self {
        self.with_value(&SPAN, span)
    }

    fn span(&self) -> Option<&Span> {
        self.get(&SPAN)
    }

    fn run_in_span<R>(&mut self, function: impl FnOnce() -> R) -> R {
        carried(self).in_scope(|| self.run(function))
    }

    fn bind_in_span<F: FnOnce() -> R, R>(mut self, function: F) -> impl FnOnce() -> R {
        move || self.run_in_span(function)
    }

    fn wrap_in_span<F: Future>(self, future: F) -> Instrumented<InContext<F>> {
        let span = carried(&self);
        future.in_context(self).instrument(span)
    }
}

/// The span of a context, or one that does nothing when it is entered.
fn carried(context: &Context) -> Span {
    context.span().cloned().unwrap_or_else(Span::none)
}
