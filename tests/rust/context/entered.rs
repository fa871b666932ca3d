//! Guards of `ContextVar::enter`.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use ctxvars::{Context, ContextVar, FutureContextExt as _};
use std::future::{Future, poll_fn};
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{self, Poll, Waker};
use std::thread;

#[test]
fn guards_may_be_dropped_in_any_order() {
    static VARIABLE: ContextVar<usize> = ContextVar::new("variable");
    static OTHER: ContextVar<usize> = ContextVar::new("other");
    const ORDERS: [[usize; 3]; 6] =
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for before in [None, Some(9)] {
        for order in ORDERS {
            before.map(|before| VARIABLE.set(before));
            let mut guards: Vec<_> = (0..3).map(|n| Some(VARIABLE.enter(n))).collect();
            let other = OTHER.enter(5);
            for dropped in order {
                guards[dropped] = None;
                // The value is that of the latest guard which is alive.
                let latest = (0..3).rev().find(|&n| guards[n].is_some());
                assert_eq!((VARIABLE.get(), OTHER.get()), (latest.or(before), Some(5)));
            }
            drop(other);
            assert!(!OTHER.is_set());
        }
    }
}

#[test]
fn a_guard_undoes_other_changes_of_its_variable() {
    static VARIABLE: ContextVar<u8> = ContextVar::with_default("variable", 7);
    {
        let _entered = VARIABLE.enter(1);
        VARIABLE.set(2);
        VARIABLE.scope(3, || assert_eq!(VARIABLE.get(), Some(3)));
        VARIABLE.delete();
    }
    assert_eq!((VARIABLE.get(), VARIABLE.is_set()), (Some(7), false));
}

#[test]
fn a_panic_drops_guards() {
    static VARIABLE: ContextVar<u8> = ContextVar::new("variable");
    let panicked = catch_unwind(|| {
        let _entered = VARIABLE.enter(1);
        resume_unwind(Box::new("a panic"))
    });
    assert!(panicked.is_err() && !VARIABLE.is_set());
}

#[test]
fn a_guard_leaves_other_contexts_as_they_are() {
    static VARIABLE: ContextVar<u8> = ContextVar::new("variable");
    let outside = VARIABLE.enter(1);
    let mut context = Context::current();
    let inside = context.run(|| VARIABLE.enter(2));
    context.run(|| drop(outside));
    assert_eq!((VARIABLE.get(), context.get(&VARIABLE)), (Some(1), Some(&2)));
    drop(inside);
    assert_eq!((VARIABLE.get(), context.get(&VARIABLE)), (Some(1), Some(&2)));
    // Guards of one context do not affect guards of another one.
    let first = VARIABLE.enter(3);
    let second = context.run(|| VARIABLE.enter(4));
    drop(first);
    assert_eq!(VARIABLE.get(), Some(1));
    context.run(|| drop(second));
    assert_eq!(context.get(&VARIABLE), Some(&2));
}

#[test]
fn a_guard_lives_across_the_awaits_of_a_future_in_its_context() {
    static VARIABLE: ContextVar<u8> = ContextVar::new("variable");
    let mut is_first = true;
    let mut future = pin!(
        async {
            let entered = VARIABLE.enter(1);
            poll_fn(
                |_| if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) },
            )
            .await;
            assert_eq!(VARIABLE.get(), Some(1));
            drop(entered);
            VARIABLE.get()
        }
        .in_context(Context::new())
    );
    let mut task = task::Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut task).is_pending());
    let elsewhere = VARIABLE.enter(9);
    assert_eq!(future.as_mut().poll(&mut task), Poll::Ready(None));
    assert_eq!(VARIABLE.get(), Some(9));
    drop(elsewhere);
    assert_eq!(VARIABLE.get(), None);
}

#[test]
fn a_leaked_guard_keeps_its_value_until_the_thread_ends() {
    static VARIABLE: ContextVar<Arc<()>> = ContextVar::new("variable");
    let value = Arc::new(());
    let [old, leaked] = [Arc::clone(&value), Arc::clone(&value)];
    thread::spawn(move || {
        VARIABLE.set(old);
        let entered = VARIABLE.enter(leaked);
        forget(entered);
        assert_eq!(VARIABLE.with(|value| Arc::strong_count(value.unwrap())), 3);
    })
    .join()
    .unwrap();
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn destructors_of_values_may_enter_the_variable() {
    struct Enters(u8);
    static VARIABLE: ContextVar<Enters> = ContextVar::new("variable");
    impl Drop for Enters {
        fn drop(&mut self) {
            if self.0 > 0 {
                let first = VARIABLE.enter(Enters(self.0 - 1));
                let second = VARIABLE.enter(Enters(self.0 - 1));
                drop(first);
                drop(second);
            }
        }
    }
    let first = VARIABLE.enter(Enters(3));
    let second = VARIABLE.enter(Enters(3));
    drop(first);
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(second)));
    assert!(dropped.is_ok() && !VARIABLE.is_set());
}
