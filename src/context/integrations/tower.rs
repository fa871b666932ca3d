//! A [`Layer`] of tower: each request is handled in its context.
//!
//! ```
//! use ctxvars::tower::ContextLayer;
//! use ctxvars::{Context, ContextVar};
//! use tower_layer::Layer as _;
//! use tower_service::Service;
//! # use std::convert::Infallible;
//! # use std::future::{Ready, ready};
//! # use std::task::{self, Poll};
//!
//! static PATH: ContextVar<String> = ContextVar::new("path");
//!
//! struct Handler;
//!
//! impl Service<&'static str> for Handler {
//!     type Response = Option<String>;
//!     type Error = Infallible;
//!     type Future = Ready<Result<Option<String>, Infallible>>;
//! #   fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
//! #       Poll::Ready(Ok(()))
//! #   }
//!
//!     fn call(&mut self, _: &'static str) -> Self::Future {
//!         ready(Ok(PATH.get()))
//!     }
//! }
//!
//! let layer = ContextLayer::with(|path: &&str, context: Context| {
//!     context.with_value(&PATH, (*path).to_owned())
//! });
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let mut service = layer.layer(Handler);
//! assert_eq!(service.call("/users").await, Ok(Some("/users".to_owned())));
//! assert_eq!(PATH.get(), None);
//! # });
//! ```

use crate::context::{Context, FutureContextExt as _, InContext};
use std::task::{self, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Makes the context of a request from the request and a copy of the current context.
///
/// Functions with these arguments implement it: see [`ContextLayer::with`].
pub trait MakeContext<Request> {
    /// The context of `request`.
    fn make(&self, request: &Request, current: Context) -> Context;
}

impl<Request, F: Fn(&Request, Context) -> Context> MakeContext<Request> for F {
    fn make(&self, request: &Request, current: Context) -> Context {
        self(request, current)
    }
}

/// A copy of the current context.
#[derive(Clone, Copy, Debug, Default)]
pub struct CopyCurrent;

impl<Request> MakeContext<Request> for CopyCurrent {
    fn make(&self, _: &Request, current: Context) -> Context {
        current
    }
}

/// A copy of the same context for each request.
impl<Request> MakeContext<Request> for Context {
    fn make(&self, _: &Request, _: Context) -> Context {
        self.clone()
    }
}

/// A [`Layer`] whose services handle each request in its context: see [the module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct ContextLayer<M = CopyCurrent> {
    make: M,
}

impl ContextLayer {
    /// Each request runs in a copy of the context that is current when its service is called. O(1).
    ///
    /// A server may call the service in a task without a context. Then the copy has only the values of
    /// the thread: use [`with`](Self::with) to choose a context.
    ///
    /// ```
    /// use ctxvars::tower::ContextLayer;
    ///
    /// let layer = ContextLayer::new();
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { make: CopyCurrent }
    }
}

impl<M> ContextLayer<M> {
    /// Each request runs in the context that `make` returns for the request and a copy of the current
    /// context. O(1).
    ///
    /// `make` may also be a [`Context`]: each request runs in a copy of it.
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar};
    /// use ctxvars::tower::ContextLayer;
    ///
    /// static DATABASE: ContextVar<&str> = ContextVar::new("database");
    ///
    /// let layer = ContextLayer::with(Context::new().with_value(&DATABASE, "main"));
    /// ```
    ///
    /// See [the module](self) for an example with a function.
    pub const fn with(make: M) -> Self {
        Self { make }
    }
}

impl<S, M: Clone> Layer<S> for ContextLayer<M> {
    type Service = ContextService<S, M>;

    fn layer(&self, inner: S) -> Self::Service {
        ContextService { inner, make: self.make.clone() }
    }
}

/// A service that handles each request in its context: the service of a [`ContextLayer`].
///
/// Both the call of the inner service and the future that it returns run in the context.
#[derive(Clone, Copy, Debug)]
pub struct ContextService<S, M = CopyCurrent> {
    inner: S,
    make: M,
}

impl<S, M, Request> Service<Request> for ContextService<S, M>
where
    S: Service<Request>,
    M: MakeContext<Request>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = InContext<S::Future>;

    fn poll_ready(&mut self, task: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let mut context = self.make.make(&request, Context::current());
        let future = context.run(|| self.inner.call(request));
        future.in_context(context)
    }
}
