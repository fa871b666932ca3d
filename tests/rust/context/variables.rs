//! `ContextVar`, `Context` and `Token`, case by case.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use ctxvars::{Context, ContextVar, ResetError, Token};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Barrier;
use std::thread;

#[test]
fn a_default_is_used_where_nothing_is_set() {
    static PRECISION: ContextVar<u32> = ContextVar::with_default("precision", 28);
    assert_eq!(PRECISION.get(), Some(28));
    assert!(!PRECISION.is_set());
    let token = PRECISION.set(6);
    assert_eq!(PRECISION.get(), Some(6));
    assert_eq!(token.old_value(), None);
    assert_eq!(PRECISION.reset(token), Ok(()));
    assert_eq!(PRECISION.get(), Some(28));
    assert_eq!(PRECISION.name(), "precision");
    assert_eq!(Context::current().get(&PRECISION), None);
}

#[test]
fn a_value_may_be_deleted_while_it_is_read() {
    static VARIABLE: ContextVar<String> = ContextVar::with_default("variable", String::new());
    VARIABLE.set("value".into());
    let token = VARIABLE.with(|value| {
        let token = VARIABLE.delete().unwrap();
        assert_eq!(value.unwrap(), "value");
        assert!(VARIABLE.delete().is_none());
        token
    });
    assert_eq!(VARIABLE.get().as_deref(), Some(""));
    assert!(!VARIABLE.is_set());
    let copy = Context::current();
    assert_eq!(VARIABLE.reset(token), Ok(()));
    assert_eq!((VARIABLE.get().as_deref(), copy.get(&VARIABLE)), (Some("value"), None));
    let token = VARIABLE.delete().unwrap();
    let refused = Context::current().run(|| VARIABLE.reset(token));
    assert_eq!(refused, Err(ResetError::OtherContext));
}

#[test]
fn a_variable_may_be_moved() {
    let variable = ContextVar::new("variable");
    let boxed = Box::new(variable);
    let token = boxed.set(1);
    let variables = vec![*boxed];
    assert_eq!(variables[0].get(), Some(1));
    let moved = thread::scope(|scope| {
        let mut context = Context::current();
        scope
            .spawn(move || {
                assert_eq!(context.get(&variables[0]), Some(&1));
                context.run(|| variables[0].set(2));
                variables
            })
            .join()
            .unwrap()
    });
    assert_eq!(moved[0].reset(token), Ok(()));
    assert_eq!(moved[0].get(), None);
}

#[test]
fn the_first_use_may_be_on_many_threads_at_once() {
    const THREADS: usize = 4;
    for _ in 0..if cfg!(miri) { 3 } else { 300 } {
        let variables: [ContextVar<usize>; 8] = [const { ContextVar::new("variable") }; 8];
        let start = Barrier::new(THREADS);
        let contexts: Vec<Context> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (variables, start) = (&variables, &start);
                    scope.spawn(move || {
                        start.wait();
                        for (variable, number) in variables.iter().zip(0..) {
                            assert_eq!(variable.get(), None);
                            variable.set(10 * thread + number);
                        }
                        Context::current()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (context, thread) in contexts.iter().zip(0..) {
            assert_eq!(context.len(), variables.len());
            for (variable, number) in variables.iter().zip(0..) {
                assert_eq!(context.get(variable), Some(&(10 * thread + number)));
            }
        }
    }
}

#[test]
fn more_variables_than_the_lookup_cache_holds() {
    let variables: [ContextVar<usize>; 50] = [const { ContextVar::new("variable") }; 50];
    for (variable, number) in variables.iter().zip(0..) {
        variable.set(number);
    }
    for _ in 0..3 {
        for (variable, number) in variables.iter().zip(0..) {
            assert_eq!(variable.get(), Some(number));
        }
    }
}

#[test]
fn a_scope_restores_the_old_value() {
    static OUTER: ContextVar<&str> = ContextVar::new("outer");
    static OTHER: ContextVar<&str> = ContextVar::new("other");
    let length = OUTER.scope("first", || {
        OUTER.set("changed");
        OTHER.set("stays");
        let inner = OUTER.scope("second", || OUTER.get());
        assert_eq!(inner, Some("second"));
        assert_eq!(OUTER.get(), Some("changed"));
        7
    });
    assert_eq!(length, 7);
    assert_eq!(OUTER.get(), None);
    assert_eq!(OTHER.get(), Some("stays"));
}

#[test]
fn tokens_may_be_used_in_any_order_or_not_at_all() {
    static VARIABLE: ContextVar<u32> = ContextVar::new("variable");
    let first = VARIABLE.set(1);
    let second = VARIABLE.set(2);
    drop(VARIABLE.set(3));
    assert_eq!(VARIABLE.get(), Some(3));
    assert_eq!(VARIABLE.reset(first), Ok(()));
    assert_eq!(VARIABLE.get(), None);
    assert_eq!(VARIABLE.reset(second), Ok(()));
    assert_eq!(VARIABLE.get(), Some(1));
}

#[test]
fn a_panic_leaves_contexts_and_scopes() {
    static VARIABLE: ContextVar<u32> = ContextVar::new("variable");
    let mut context = Context::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        context.run(|| {
            VARIABLE.set(1);
            VARIABLE.scope(2, || resume_unwind(Box::new("a panic")))
        });
    }));
    assert!(panicked.is_err_and(|panic| panic.is::<&str>()));
    assert_eq!(VARIABLE.get(), None);
    assert_eq!(context.get(&VARIABLE), Some(&1));
}

#[test]
fn a_token_of_another_thread_or_context_is_refused() {
    static VARIABLE: ContextVar<u32> = ContextVar::new("variable");
    let token = VARIABLE.set(1);
    let refused = thread::spawn(|| VARIABLE.reset(token)).join().unwrap();
    assert_eq!(refused, Err(ResetError::OtherContext));
    let token = VARIABLE.set(2);
    let refused = Context::current().run(|| VARIABLE.reset(token));
    assert_eq!(refused, Err(ResetError::OtherContext));
    assert_eq!(VARIABLE.get(), Some(2));
    assert_eq!(
        ResetError::<std::convert::Infallible>::OtherContext.to_string(),
        "the token was made in another context"
    );
}

#[test]
fn a_token_works_wherever_its_context_is_entered() {
    static VARIABLE: ContextVar<u32> = ContextVar::new("variable");
    let mut context = Context::new();
    let token = context.run(|| VARIABLE.set(1));
    let context = thread::spawn(move || {
        assert_eq!(context.run(|| VARIABLE.reset(token)), Ok(()));
        context
    });
    assert!(context.join().unwrap().is_empty());
}

#[test]
fn contexts_tokens_and_variables_move_between_threads() {
    const fn assert_send_and_sync<T: Send + Sync>() {}
    const {
        assert_send_and_sync::<Context>();
        assert_send_and_sync::<Token<u32>>();
        assert_send_and_sync::<ContextVar<u32>>();
    }
    static VARIABLE: ContextVar<u32> = ContextVar::new("variable");
    VARIABLE.set(1);
    let mut copy = Context::current();
    let seen = thread::spawn(move || (VARIABLE.get(), copy.run(|| VARIABLE.get())));
    assert_eq!(seen.join().unwrap(), (None, Some(1)));
}

#[test]
fn one_context_is_read_by_many_threads() {
    static VARIABLE: ContextVar<String> = ContextVar::new("variable");
    let context = Context::new().with_value(&VARIABLE, "shared".into());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..if cfg!(miri) { 3 } else { 1000 } {
                    let mut copy = context.clone();
                    assert_eq!(copy.run(|| VARIABLE.get()).as_deref(), Some("shared"));
                    copy.run(|| VARIABLE.set("own".into()));
                    assert_eq!(context.get(&VARIABLE).map(String::as_str), Some("shared"));
                }
            });
        }
    });
}

#[test]
fn a_bound_closure_runs_in_its_context() {
    static VARIABLE: ContextVar<u32> = ContextVar::new("variable");
    let token = VARIABLE.set(1);
    let bound = Context::current().bind(|| {
        VARIABLE.set(VARIABLE.get().unwrap() + 1);
        VARIABLE.get()
    });
    assert_eq!(VARIABLE.reset(token), Ok(()));
    assert_eq!(thread::spawn(bound).join().unwrap(), Some(2));
    assert_eq!(VARIABLE.get(), None);
}

#[test]
fn each_call_of_a_bound_callback_runs_in_a_fresh_copy() {
    static VARIABLE: ContextVar<u32> = ContextVar::new("variable");
    let callback = Context::new().with_value(&VARIABLE, 10).bind_fn(|(a, b): (u32, u32)| {
        let before = VARIABLE.get().unwrap();
        VARIABLE.set(before + a + b);
        (before, VARIABLE.get().unwrap())
    });
    thread::scope(|scope| {
        for n in 0..4 {
            let callback = &callback;
            scope.spawn(move || {
                for _ in 0..if cfg!(miri) { 3 } else { 1000 } {
                    assert_eq!(callback((n, 1)), (10, 11 + n));
                }
            });
        }
    });
    assert_eq!(callback((0, 0)), (10, 10));
}
