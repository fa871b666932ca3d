//! Futures that run in their own context, polled by hand and by tokio.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use ctxvars::{Context, ContextVar, FutureContextExt as _, InContext, ResetError};
use std::collections::HashSet;
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{self, Poll, Waker};
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};

static USER: ContextVar<u32> = ContextVar::new("user");
static STEP: ContextVar<u32> = ContextVar::with_default("step", 0);

/// Polls a future once.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut task::Context::from_waker(Waker::noop()))
}

/// A future that is pending once.
async fn pause() {
    let mut is_first = true;
    poll_fn(|_| if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }).await;
}

/// Records the value of `USER` when it is dropped.
struct TellsUser(Arc<Mutex<Vec<Option<u32>>>>);

impl Drop for TellsUser {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(USER.get());
    }
}

type Told = Arc<Mutex<Vec<Option<u32>>>>;

fn told(users: &Told) -> Vec<Option<u32>> {
    users.lock().unwrap().clone()
}

#[test]
fn values_set_by_a_future_stay_in_its_context() {
    let mut future = pin!(
        async {
            assert_eq!(USER.get(), Some(1));
            USER.set(2);
            pause().await;
            assert_eq!(USER.get(), Some(2));
            USER.set(3);
        }
        .in_context(Context::new().with_value(&USER, 1))
    );
    assert!(poll(future.as_mut()).is_pending());
    assert_eq!(USER.get(), None);
    assert_eq!(future.as_mut().context().get(&USER), Some(&2));
    USER.set(9);
    assert!(poll(future.as_mut()).is_ready());
    assert_eq!(USER.get(), Some(9));
    assert_eq!(future.as_mut().context().get(&USER), Some(&3));
}

#[test]
fn a_future_inherits_the_context_at_the_time_it_is_made() {
    USER.set(1);
    let mut future = pin!(async { USER.get() }.in_current_context());
    USER.set(2);
    let mut elsewhere = Context::new();
    assert_eq!(elsewhere.run(|| poll(future.as_mut())), Poll::Ready(Some(1)));
    assert!(elsewhere.is_empty());
}

#[test]
fn a_future_takes_its_context_to_other_threads() {
    let make = async {
        for step in 0..10 {
            assert_eq!(STEP.get(), Some(step));
            STEP.set(step + 1);
            pause().await;
        }
        STEP.get()
    };
    let mut future = Box::pin(make.in_context(Context::new()));
    for polls in 0.. {
        // Each poll runs on a new thread.
        let (outcome, back) = thread::spawn(move || {
            let outcome = poll(future.as_mut());
            assert_eq!(STEP.get(), Some(0), "the thread's own context is as before");
            (outcome, future)
        })
        .join()
        .unwrap();
        future = back;
        if outcome.is_ready() {
            assert_eq!((outcome, polls), (Poll::Ready(Some(10)), 10));
            break;
        }
    }
}

#[test]
fn tokens_work_in_their_own_future_only() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut first = Box::pin(
        async move {
            let kept = USER.set(1);
            sender.send(USER.set(2)).unwrap();
            pause().await;
            assert_eq!(kept.old_value(), None);
            let after = USER.reset(kept);
            (after, USER.get())
        }
        .in_context(Context::new()),
    );
    assert!(poll(first.as_mut()).is_pending());
    let token = receiver.recv().unwrap();
    let mut second = pin!(async { USER.reset(token) }.in_context(first.as_mut().context().clone()));
    assert_eq!(poll(second.as_mut()), Poll::Ready(Err(ResetError::OtherContext)));
    let outcome = thread::spawn(move || poll(first.as_mut())).join().unwrap();
    assert_eq!(outcome, Poll::Ready((Ok(()), None)));
}

#[test]
fn contexts_nest() {
    let innermost = async {
        let seen = (USER.get(), STEP.get());
        USER.set(30);
        pause().await;
        (seen, USER.get())
    };
    let inner = async {
        USER.set(2);
        let result = innermost.in_context(Context::current().with_value(&STEP, 7)).await;
        (result, USER.get(), STEP.get())
    };
    let mut outer = pin!(
        async {
            USER.set(1);
            let result = inner.in_current_context().await;
            (result, USER.get())
        }
        .in_context(Context::new())
    );
    let mut run = Context::new().with_value(&USER, 9);
    assert!(run.run(|| poll(outer.as_mut())).is_pending());
    assert_eq!(run.get(&USER), Some(&9));
    let expected = ((((Some(2), Some(7)), Some(30)), Some(2), Some(0)), Some(1));
    assert_eq!(poll(outer.as_mut()), Poll::Ready(expected));
    assert_eq!(USER.get(), None);
}

#[test]
fn a_future_is_dropped_in_its_context() {
    let users = Told::default();
    let tells = || TellsUser(Arc::clone(&users));
    let in_context = |user, tells: TellsUser| {
        let waits = async move {
            let _tells = tells;
            USER.set(USER.get().unwrap_or_default() + 1);
            pending::<()>().await;
        };
        waits.in_context(Context::new().with_value(&USER, user))
    };
    // Dropped before the first poll, after it, and on another thread.
    drop(in_context(10, tells()));
    assert_eq!(told(&users), [Some(10)]);
    let mut polled = Box::pin(in_context(20, tells()));
    assert!(poll(polled.as_mut()).is_pending());
    drop(polled);
    assert_eq!(told(&users), [Some(10), Some(21)]);
    let mut sent = Box::pin(in_context(30, tells()));
    assert!(poll(sent.as_mut()).is_pending());
    thread::spawn(move || drop(sent)).join().unwrap();
    assert_eq!(told(&users), [Some(10), Some(21), Some(31)]);
    assert_eq!(USER.get(), None);
}

#[test]
fn a_panic_leaves_the_context() {
    let mut future = Box::pin(
        async {
            USER.set(1);
            resume_unwind(Box::new("in a future"));
        }
        .in_context(Context::new()),
    );
    let outcome = catch_unwind(AssertUnwindSafe(|| poll::<InContext<_>>(future.as_mut())));
    assert!(outcome.is_err());
    assert_eq!(USER.get(), None);
    assert_eq!(future.as_mut().context().get(&USER), Some(&1));

    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            assert_eq!(USER.get(), Some(7));
            resume_unwind(Box::new("in a destructor"));
        }
    }
    let holds = PanicsOnDrop;
    let future = async move { drop(holds) }.in_context(Context::new().with_value(&USER, 7));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(future))).is_err());
    assert_eq!(USER.get(), None);
}

#[test]
fn a_future_may_be_polled_while_a_value_is_read() {
    USER.set(1);
    USER.with(|value| {
        let mut future = pin!(
            async {
                USER.set(2);
                pause().await;
                USER.with(|value| {
                    USER.set(3);
                    value.copied()
                })
            }
            .in_current_context()
        );
        assert!(poll(future.as_mut()).is_pending());
        USER.set(4);
        assert_eq!(poll(future.as_mut()), Poll::Ready(Some(2)));
        assert_eq!(value, Some(&1));
    });
    assert_eq!(USER.get(), Some(4));
}

#[test]
fn in_context_preserves_auto_traits() {
    const fn assert_send_and_sync<T: Send + Sync>(_: &T) {}
    assert_send_and_sync(&ready(1).in_context(Context::new()));
    // A future that is not `Send`, and one that is not an `async` block.
    let stays = std::rc::Rc::new(5);
    let mut future = pin!(async move { *stays }.in_current_context());
    assert_eq!(poll(future.as_mut()), Poll::Ready(5));
    let mut boxed: Pin<Box<dyn Future<Output = _>>> = Box::pin(ready(6));
    let mut future = pin!(boxed.as_mut().in_current_context());
    assert_eq!(poll(future.as_mut()), Poll::Ready(6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_do_not_see_each_others_values() {
    const TASKS: u32 = if cfg!(miri) { 4 } else { 50 };
    const STEPS: u32 = if cfg!(miri) { 5 } else { 100 };
    USER.set(1000);
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        let task = async move {
            assert_eq!(USER.get(), Some(1000));
            let token = USER.set(number);
            let mut threads = HashSet::new();
            for step in 0..STEPS {
                assert_eq!(STEP.get(), Some(step));
                assert_eq!(USER.get(), Some(number));
                STEP.set(step + 1);
                threads.insert(thread::current().id());
                yield_now().await;
            }
            assert_eq!(USER.reset(token), Ok(()));
            assert_eq!(USER.get(), Some(1000));
            threads.len()
        };
        tasks.spawn(task.in_current_context());
    }
    let mut done = 0;
    while let Some(threads) = tasks.join_next().await {
        assert!(threads.unwrap() >= 1);
        done += 1;
    }
    assert_eq!(done, TASKS);
}

#[tokio::test]
async fn joined_futures_have_separate_contexts() {
    let count = |user: u32| {
        async move {
            for step in 0..5 {
                assert_eq!((USER.get(), STEP.get()), (Some(user), Some(step)));
                STEP.set(step + 1);
                yield_now().await;
            }
            user
        }
        .in_context(Context::current().with_value(&USER, user))
    };
    assert_eq!(tokio::join!(count(1), count(2), count(3)), (1, 2, 3));
    assert_eq!((USER.get(), STEP.get()), (None, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_future_cancelled_by_select_or_timeout_is_dropped_in_its_context() {
    let users = Told::default();
    let waits = |user| {
        let tells = TellsUser(Arc::clone(&users));
        async move {
            let _tells = tells;
            pending::<()>().await;
        }
        .in_context(Context::new().with_value(&USER, user))
    };
    tokio::select! {
        () = waits(1) => unreachable!("it waits for ever"),
        () = tokio::time::sleep(Duration::from_millis(1)) => {}
    }
    assert_eq!(told(&users), [Some(1)]);
    assert!(tokio::time::timeout(Duration::from_millis(1), waits(2)).await.is_err());
    assert_eq!(told(&users), [Some(1), Some(2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_aborted_is_dropped_in_its_context() {
    let users = Told::default();
    let (started, mut starts) = mpsc::channel(1);
    let tells = TellsUser(Arc::clone(&users));
    let task = tokio::spawn(
        async move {
            let _tells = tells;
            USER.set(5);
            started.send(()).await.unwrap();
            pending::<()>().await;
        }
        .in_current_context(),
    );
    starts.recv().await.unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(told(&users), [Some(5)]);
}

#[tokio::test]
async fn a_task_that_panics_leaves_its_context() {
    USER.set(1);
    let task = async {
        USER.set(2);
        yield_now().await;
        resume_unwind(Box::new("in a task"));
    };
    let outcome = tokio::spawn(task.in_current_context()).await;
    assert!(outcome.unwrap_err().is_panic());
    assert_eq!(USER.get(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocking_calls_and_callbacks_run_in_a_context() {
    let task = async {
        USER.set(4);
        let blocking = tokio::task::spawn_blocking(Context::current().bind(|| {
            let seen = USER.get();
            USER.set(5);
            seen
        }));
        let seen = blocking.await.unwrap();
        let callback = Context::current().bind_fn(|step| {
            STEP.set(step);
            (USER.get(), STEP.get())
        });
        let called = tokio::task::spawn_blocking(move || (callback(1), callback(2)));
        (seen, called.await.unwrap(), USER.get(), STEP.get())
    };
    let result = tokio::spawn(task.in_context(Context::new())).await.unwrap();
    let called = ((Some(4), Some(1)), (Some(4), Some(2)));
    assert_eq!(result, (Some(4), called, Some(4), Some(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tokens_go_with_their_task_between_workers() {
    let mut tasks = JoinSet::new();
    for number in 0..if cfg!(miri) { 2 } else { 20 } {
        let task = async move {
            let outer = USER.set(number);
            for _ in 0..if cfg!(miri) { 3 } else { 20 } {
                let inner = USER.set(number + 1);
                yield_now().await;
                assert_eq!(inner.old_value(), Some(&number));
                assert_eq!(USER.reset(inner), Ok(()));
                assert_eq!(USER.get(), Some(number));
            }
            let stolen = USER.set(number + 2);
            let thief = async move { USER.reset(stolen) };
            let refused = tokio::spawn(thief.in_current_context()).await.unwrap();
            assert_eq!(refused, Err(ResetError::OtherContext));
            assert_eq!(USER.get(), Some(number + 2));
            assert_eq!(USER.reset(outer), Ok(()));
            assert_eq!(USER.get(), None);
        };
        tasks.spawn(task.in_context(Context::new()));
    }
    tasks.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_ends_before_an_await_does() {
    let task = async {
        let inside = USER.scope(1, || async { USER.get() });
        let later = async { USER.get() };
        (inside.await, later.in_context(Context::current().with_value(&USER, 2)).await)
    };
    let result = tokio::spawn(task.in_context(Context::new())).await.unwrap();
    assert_eq!(result, (None, Some(2)));
}
