//! Iteration over contexts, their debug output, and lazy defaults.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use ctxvars::{Context, ContextVar};
use std::collections::HashMap;
use std::panic::{catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

#[test]
fn a_context_is_iterated_with_names_and_values() {
    static USER: ContextVar<&str> = ContextVar::new("user").with_debug();
    static SECRET: ContextVar<String> = ContextVar::new("secret");
    static UNSET: ContextVar<u8> = ContextVar::new("unset");
    let context = Context::new().with_value(&USER, "ann").with_value(&SECRET, "xyz".into());
    let shown: HashMap<_, _> =
        context.iter().map(|entry| (entry.name(), format!("{entry:?}"))).collect();
    assert_eq!(shown, HashMap::from([("user", "\"ann\"".into()), ("secret", "_".into())]));
    let user = context.iter().find(|entry| entry.name() == "user").unwrap();
    assert_eq!((user.get(&USER), user.get(&SECRET), user.get(&UNSET)), (Some(&"ann"), None, None));
    assert_eq!(context.iter().size_hint(), (0, Some(2)));
    assert_eq!((&context).into_iter().count(), 2);
    assert!(!format!("{context:?}").contains("xyz"));
    assert_eq!(format!("{:?}", Context::new()), "Context {}");
}

#[test]
fn the_debug_output_of_a_context_may_use_the_context() {
    /// Sets variables while it is shown.
    struct Edits;
    static SHOWN: ContextVar<Edits> = ContextVar::new("shown").with_debug();
    static OTHER: ContextVar<u8> = ContextVar::new("other");
    impl std::fmt::Debug for Edits {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            OTHER.set(1);
            SHOWN.delete();
            f.write_str("edited")
        }
    }
    SHOWN.set(Edits);
    assert_eq!(format!("{:?}", Context::current()), r#"Context {"shown": edited}"#);
    assert_eq!((SHOWN.is_set(), OTHER.get()), (false, Some(1)));
}

#[test]
fn a_lazy_default_is_made_once_in_an_empty_context() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    static USER: ContextVar<&str> = ContextVar::new("user");
    static GREETING: ContextVar<String> = ContextVar::with_default_fn("greeting", || {
        MADE.fetch_add(1, Ordering::Relaxed);
        let greeting = format!("hello, {}", USER.get().unwrap_or("stranger"));
        USER.set("changed");
        greeting
    });
    USER.set("ann");
    let token = GREETING.set("set".into());
    assert_eq!((GREETING.get().as_deref(), MADE.load(Ordering::Relaxed)), (Some("set"), 0));
    assert!(GREETING.reset(token).is_ok());
    assert!(!GREETING.is_set());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(GREETING.get().as_deref(), Some("hello, stranger")));
        }
    });
    let is_shared =
        GREETING.with(|here| GREETING.with(|there| std::ptr::eq(here.unwrap(), there.unwrap())));
    assert!(is_shared && !GREETING.is_set());
    assert_eq!((USER.get(), MADE.load(Ordering::Relaxed)), (Some("ann"), 1));
}

#[test]
fn a_lazy_default_whose_function_panics_is_made_again() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    static LAZY: ContextVar<usize> = ContextVar::with_default_fn("lazy", || {
        let calls = CALLS.fetch_add(1, Ordering::Relaxed);
        if calls == 0 { resume_unwind(Box::new("a panic")) } else { calls }
    });
    assert!(catch_unwind(|| LAZY.get()).is_err());
    assert_eq!([LAZY.get(), LAZY.get()], [Some(1), Some(1)]);
}
