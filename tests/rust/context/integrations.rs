//! Contexts in tokio, streams, tower and tracing.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use ctxvars::{Context, ContextVar};

static USER: ContextVar<&str> = ContextVar::new("user");

#[cfg(feature = "tokio")]
mod tokio_tasks {
    use super::*;
    use ctxvars::tokio::{JoinSetExt as _, spawn, spawn_blocking, spawn_local};
    use tokio::task::{JoinSet, LocalSet, yield_now};

    async fn rename() -> (Option<&'static str>, Option<&'static str>) {
        let before = USER.get();
        USER.set("renamed");
        yield_now().await;
        (before, USER.get())
    }

    const RENAMED: (Option<&str>, Option<&str>) = (Some("ann"), Some("renamed"));

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn spawned_tasks_run_in_copies_of_the_context() {
        let tasks = USER.scope("ann", || {
            let mut set = JoinSet::new();
            set.spawn_in_current_context(rename());
            set.spawn_blocking_in_current_context(|| {
                let before = USER.get();
                USER.set("renamed");
                (before, USER.get())
            });
            let blocking = spawn_blocking(|| (USER.get(), USER.set("lost").old_value().copied()));
            (spawn(rename()), spawn(rename()), set, blocking)
        });
        assert_eq!(tasks.0.await.unwrap(), RENAMED);
        assert_eq!(tasks.1.await.unwrap(), RENAMED);
        assert_eq!(tasks.2.join_all().await, [RENAMED; 2]);
        assert_eq!(tasks.3.await.unwrap(), (Some("ann"), Some("ann")));
        assert_eq!(USER.get(), None);
    }

    #[tokio::test]
    async fn local_tasks_run_in_copies_of_the_context_and_may_hold_guards() {
        let local = LocalSet::new();
        let task = local.run_until(async {
            let entered = USER.enter("ann");
            let task = spawn_local(async {
                let _entered = USER.enter("bob");
                yield_now().await;
                USER.get()
            });
            drop(entered);
            assert_eq!(USER.get(), None);
            task.await.unwrap()
        });
        assert_eq!(task.await, Some("bob"));
    }
}

#[cfg(feature = "futures")]
mod streams {
    use super::*;
    use ctxvars::StreamContextExt as _;
    use futures_core::Stream;
    use std::pin::{Pin, pin};
    use std::sync::Mutex;
    use std::task::{self, Poll, Waker};

    static DROPPED_BY: Mutex<Option<&str>> = Mutex::new(None);

    /// Yields the user, and appoints the next one.
    struct Users;

    impl Stream for Users {
        type Item = &'static str;

        fn poll_next(
            self: Pin<&mut Self>,
            _: &mut task::Context<'_>,
        ) -> Poll<Option<&'static str>> {
            let user = USER.get();
            if user == Some("ann") {
                drop(USER.set("bob"))
            } else {
                drop(USER.delete())
            }
            Poll::Ready(user)
        }
    }

    impl Drop for Users {
        fn drop(&mut self) {
            USER.set("dropped");
            *DROPPED_BY.lock().unwrap() = USER.get();
        }
    }

    #[test]
    fn a_stream_runs_and_is_dropped_in_its_context() {
        {
            let stream = USER.scope("ann", || Users.in_current_context());
            let mut stream = pin!(stream);
            let mut next = || {
                assert_eq!(USER.get(), None);
                stream.as_mut().poll_next(&mut task::Context::from_waker(Waker::noop()))
            };
            assert_eq!([next(), next(), next()], [Some("ann"), Some("bob"), None].map(Poll::Ready));
        }
        assert_eq!((*DROPPED_BY.lock().unwrap(), USER.get()), (Some("dropped"), None));
    }
}

#[cfg(feature = "tower")]
mod tower_layers {
    use super::*;
    use ctxvars::tower::ContextLayer;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{self, Poll};
    use tower_layer::Layer as _;
    use tower_service::Service;

    /// Sets the user in the call, and reads it in the future.
    #[derive(Clone)]
    struct Login;

    type Users = (Option<&'static str>, Option<&'static str>);

    impl Service<&'static str> for Login {
        type Response = Users;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Users, Infallible>> + Send>>;

        fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, user: &'static str) -> Self::Future {
            let before = USER.get();
            USER.set(user);
            Box::pin(async move {
                tokio::task::yield_now().await;
                Ok((before, USER.get()))
            })
        }
    }

    #[tokio::test]
    async fn each_request_runs_in_its_own_copy() {
        let mut service = ContextLayer::new().layer(Login);
        let (ann, bob) = USER.scope("main", || (service.call("ann"), service.call("bob")));
        assert_eq!(ann.await, Ok((Some("main"), Some("ann"))));
        assert_eq!(bob.await, Ok((Some("main"), Some("bob"))));
        assert_eq!(USER.get(), None);
    }

    #[tokio::test]
    async fn a_layer_chooses_the_context() {
        let fixed = ContextLayer::with(Context::new().with_value(&USER, "fixed"));
        let from_request = ContextLayer::with(|user: &&'static str, context: Context| {
            context.with_value(&USER, if user.is_empty() { "guest" } else { "member" })
        });
        assert_eq!(fixed.layer(Login).call("ann").await, Ok((Some("fixed"), Some("ann"))));
        let mut service = from_request.layer(Login);
        assert_eq!(service.call("").await, Ok((Some("guest"), Some(""))));
        assert_eq!(service.call("ann").await, Ok((Some("member"), Some("ann"))));
    }
}

#[cfg(feature = "tracing")]
mod spans {
    use super::*;
    use ctxvars::tracing::ContextSpanExt as _;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};
    use std::thread;
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher};

    /// Records which spans are entered and exited.
    #[derive(Default)]
    struct Recorder {
        next: AtomicU64,
        steps: Arc<Mutex<Vec<&'static str>>>,
    }

    impl Subscriber for Recorder {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(self.next.fetch_add(1, Ordering::Relaxed) + 1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, _: &Event<'_>) {
            self.steps.lock().unwrap().push(USER.get().unwrap_or("an event without a user"));
        }

        fn enter(&self, _: &Id) {
            self.steps.lock().unwrap().push("enter");
        }

        fn exit(&self, _: &Id) {
            self.steps.lock().unwrap().push("exit");
        }
    }

    #[test]
    fn a_context_carries_a_span_to_another_thread() {
        let steps = Arc::default();
        let recorder = Recorder { steps: Arc::clone(&steps), ..Recorder::default() };
        let dispatch = Dispatch::new(recorder);
        let context = dispatcher::with_default(&dispatch, || {
            Context::new().with_value(&USER, "ann").with_span(tracing::info_span!("request"))
        });
        let mut copy = context.clone();
        let bound = context.bind_in_span(|| tracing::info!("an event"));
        thread::spawn(move || dispatcher::with_default(&dispatch, bound)).join().unwrap();
        assert_eq!(*steps.lock().unwrap(), ["enter", "ann", "exit"]);
        copy.run_in_span(|| assert_eq!(USER.get(), Some("ann")));
        assert_eq!(steps.lock().unwrap().len(), 5);
        assert!(Context::new().run_in_span(|| USER.get()).is_none());
    }

    #[tokio::test]
    async fn a_future_runs_in_the_span_of_its_context() {
        let steps = Arc::default();
        let recorder = Recorder { steps: Arc::clone(&steps), ..Recorder::default() };
        let dispatch = Dispatch::new(recorder);
        let _default = dispatcher::set_default(&dispatch);
        let context = Context::current().with_span(tracing::info_span!("request"));
        let work = async { tracing::info!("an event") };
        context.with_value(&USER, "ann").wrap_in_span(work).await;
        assert_eq!(steps.lock().unwrap()[..3], ["enter", "ann", "exit"]);
    }
}
