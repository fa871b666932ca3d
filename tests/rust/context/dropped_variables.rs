//! Variables that are dropped while contexts hold their values.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use ctxvars::{Context, ContextVar};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Barrier};
use std::thread;

/// The number of variables that live one after the other.
const MANY: usize = if cfg!(miri) { 300 } else { 100_000 };

/// A value, and the owner of a variable for it.
type Shared = Arc<()>;

fn variable() -> ContextVar<Shared> {
    ContextVar::new("variable")
}

fn alive(value: &Shared) -> usize {
    Arc::strong_count(value) - 1
}

#[test]
fn the_current_context_drops_the_value_with_the_variable() {
    let value = Shared::default();
    let dropped = variable();
    dropped.set(Arc::clone(&value));
    assert_eq!(alive(&value), 1);
    drop(dropped);
    assert_eq!((alive(&value), Context::current().len()), (0, 0));
}

#[test]
fn a_thread_does_not_grow_with_the_number_of_dropped_variables() {
    let value = Shared::default();
    for _ in 0..MANY {
        let service = variable();
        service.set(Arc::clone(&value));
        assert_eq!(alive(&value), 1);
    }
    assert_eq!((alive(&value), Context::current().len()), (0, 0));
}

#[test]
fn a_context_in_which_other_variables_are_set_does_not_grow_either() {
    // The variables are dropped while another context is current.
    let value = Shared::default();
    let kept: Vec<_> = (0..100).map(|_| variable()).collect();
    kept.iter().for_each(|variable| drop(variable.set(Arc::clone(&value))));
    let mut most = 0;
    for _ in 0..MANY {
        let service = variable();
        service.set(Arc::clone(&value));
        Context::new().run(|| drop(service));
        most = most.max(alive(&value));
    }
    assert!((101..300).contains(&most), "{most} values were alive");
    assert!(kept.iter().all(ContextVar::is_set));
}

#[test]
fn a_context_that_is_built_by_with_value_does_not_grow_either() {
    let value = Shared::default();
    let mut context = Context::new();
    let mut most = 0;
    for _ in 0..MANY {
        context = context.with_value(&variable(), Arc::clone(&value));
        most = most.max(alive(&value));
    }
    assert!(most < 100, "{most} values were alive");
}

#[test]
fn variables_of_other_threads_are_pruned() {
    let value = Shared::default();
    let mut most = 0;
    for _ in 0..MANY / 100 {
        let services: Vec<_> = (0..100).map(|_| variable()).collect();
        services.iter().for_each(|service| drop(service.set(Arc::clone(&value))));
        // The thread's own context has no values of them.
        thread::spawn(move || drop(services)).join().unwrap();
        most = most.max(alive(&value));
    }
    assert!(most < 600, "{most} values were alive");
}

#[test]
fn copies_keep_the_value_until_they_are_dropped() {
    let value = Shared::default();
    let dropped = variable();
    let token = dropped.set(Arc::clone(&value));
    let copy = Context::current();
    drop(dropped);
    assert_eq!((alive(&value), copy.len(), copy.iter().count()), (1, 1, 0));
    drop(copy);
    assert_eq!(alive(&value), 0);
    assert!(token.old_value().is_none());
}

#[test]
fn a_new_variable_in_the_place_of_a_dropped_one_has_no_value() {
    let mut contexts = Vec::new();
    for number in 0..100_u64 {
        let dropped = ContextVar::new("dropped");
        contexts.push(Context::new().with_value(&dropped, number));
        drop(dropped);
        // The type is another one, too.
        let text = ContextVar::<String>::new("text");
        let token = text.set(number.to_string());
        assert!(contexts.iter().all(|context| context.get(&text).is_none()));
        assert!(contexts.iter_mut().all(|context| context.run(|| text.get()).is_none()));
        assert!(text.reset(token).is_ok());
    }
}

#[test]
fn a_reader_keeps_values_while_variables_are_dropped() {
    static OUTER: ContextVar<String> = ContextVar::new("outer");
    OUTER.set("value".into());
    let value = Shared::default();
    let dropped = variable();
    dropped.set(Arc::clone(&value));
    OUTER.with(|text| {
        drop(dropped);
        for _ in 0..100 {
            variable().set(Arc::clone(&value));
        }
        assert_eq!(text.unwrap(), "value");
    });
    assert_eq!(alive(&value), 0);
}

#[test]
fn threads_make_and_drop_variables_at_once() {
    const THREADS: usize = 4;
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                let mut alive = Vec::new();
                for number in 0..if cfg!(miri) { 50 } else { 20_000 } {
                    let variable = ContextVar::new("variable").with_debug();
                    let value = (thread, number);
                    let context = Context::new().with_value(&variable, value);
                    variable.set(value);
                    alive.push((variable, context));
                    if number % 3 != 0 {
                        let (variable, context) = alive.swap_remove(number % alive.len());
                        assert_eq!(context.get(&variable), variable.get().as_ref());
                        drop(variable);
                        assert_eq!(context.iter().count(), 0);
                    }
                }
                for (variable, context) in &alive {
                    let entry = context.iter().next().unwrap();
                    assert_eq!(
                        (entry.name(), entry.get(variable)),
                        ("variable", context.get(variable))
                    );
                    assert_eq!(
                        format!("{entry:?}"),
                        format!("{:?}", context.get(variable).unwrap())
                    );
                }
            });
        }
    });
}

/// Panics when it is dropped, unless the thread is already panicking.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            resume_unwind(Box::new("a panic"));
        }
    }
}

#[test]
fn a_destructor_that_panics_does_so_out_of_the_drop_of_the_variable() {
    let bomb = ContextVar::new("bomb");
    drop(bomb.set(Bomb));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(bomb))).is_err());
    assert!(Context::current().is_empty());
}

#[test]
fn a_destructor_that_panics_while_a_context_is_pruned_leaves_the_scope_unset() {
    static SCOPED: ContextVar<u8> = ContextVar::new("scoped");
    let kept: Vec<_> = (0..30).map(|_| variable()).collect();
    kept.iter().for_each(|variable| drop(variable.set(Shared::default())));
    let bomb = ContextVar::new("bomb");
    drop(bomb.set(Bomb));
    Context::new().run(|| drop(bomb));
    let mut panics = 0;
    for _ in 0..100 {
        panics += usize::from(catch_unwind(|| SCOPED.scope(1, || ())).is_err());
        assert!(!SCOPED.is_set());
    }
    assert_eq!(panics, 1);
    assert!(kept.iter().all(ContextVar::is_set));
}

#[test]
fn a_value_may_own_a_variable_whose_value_owns_a_variable() {
    const DEEP: usize = if cfg!(miri) { 100 } else { 100_000 };
    /// Owns a variable, which owns a value in the current context.
    struct Owner(#[expect(dead_code, reason = "it is dropped")] Option<Box<ContextVar<Owner>>>);
    let mut variable = Box::new(ContextVar::new("variable"));
    for _ in 0..DEEP {
        let next = Box::new(ContextVar::new("variable"));
        next.set(Owner(Some(variable)));
        variable = next;
    }
    drop(variable);
    assert!(Context::current().is_empty());
}

#[test]
fn a_variable_may_be_dropped_while_its_thread_ends() {
    struct Late(Option<ContextVar<Shared>>);
    impl Drop for Late {
        fn drop(&mut self) {
            drop(self.0.take());
        }
    }
    thread_local!(static LATE: std::cell::RefCell<Late> = const { std::cell::RefCell::new(Late(None)) });
    let value = Shared::default();
    let sent = Arc::clone(&value);
    thread::spawn(move || {
        LATE.with(|_| ());
        let late = variable();
        late.set(sent);
        LATE.with(|place| place.borrow_mut().0 = Some(late));
    })
    .join()
    .unwrap();
    assert_eq!(alive(&value), 0);
}
