//! When values of context variables are dropped, and what their destructors may do.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use ctxvars::{Context, ContextVar, Token};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::{env, process};

/// Deep enough to overflow the stack, if each level took a frame.
const DEEP: usize = if cfg!(miri) { 200 } else { 300_000 };

/// Runs a closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

type Destructor = OnDrop<Box<dyn FnMut() + Send + Sync>>;

fn on_drop(f: impl FnMut() + Send + Sync + 'static) -> Destructor {
    OnDrop(Box::new(f))
}

/// Counts its drops; there must be one.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Counter(Arc<AtomicUsize>);

impl Counter {
    fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(0)))
    }

    fn value(&self) -> Counted {
        Counted(Arc::clone(&self.0))
    }

    fn dropped(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// The number of live values.
    fn alive(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

#[test]
fn a_value_is_dropped_with_its_last_context_or_token() {
    static VARIABLE: ContextVar<Counted> = ContextVar::new("variable");
    let counter = Counter::new();
    let first = VARIABLE.set(counter.value());
    let copy = Context::current();
    let second = VARIABLE.set(counter.value());
    assert_eq!(counter.dropped(), 0);
    assert!(VARIABLE.reset(first).is_ok());
    assert_eq!(counter.dropped(), 1); // the second value
    drop(copy);
    assert_eq!(counter.dropped(), 1);
    drop(second);
    assert_eq!(counter.dropped(), 2);
    assert_eq!(counter.alive(), 0);
}

#[test]
fn a_scope_drops_its_value_when_it_ends() {
    static VARIABLE: ContextVar<Counted> = ContextVar::new("variable");
    let counter = Counter::new();
    VARIABLE.scope(counter.value(), || {
        VARIABLE.scope(counter.value(), || assert_eq!(counter.dropped(), 0));
        assert_eq!(counter.dropped(), 1);
    });
    assert_eq!(counter.dropped(), 2);
}

#[test]
fn values_are_dropped_when_their_thread_ends() {
    static FIRST: ContextVar<Counted> = ContextVar::new("first");
    static SECOND: ContextVar<Destructor> = ContextVar::new("second");
    let counter = Counter::new();
    let (in_thread, late) = (counter.value(), counter.value());
    thread::spawn(move || {
        FIRST.set(in_thread);
        let mut late = Some(late);
        // A destructor that sets a variable while the context of the thread is dropped.
        SECOND.set(on_drop(move || drop(late.take().map(|late| FIRST.set(late)))));
    })
    .join()
    .unwrap();
    assert_eq!(counter.dropped(), 2);
}

#[test]
#[cfg_attr(miri, ignore = "what is set after the context of a thread was dropped is leaked")]
fn destructors_of_other_thread_locals_may_use_variables() {
    static VARIABLE: ContextVar<u32> = ContextVar::with_default("variable", 7);
    thread_local! {
        static FIRST: RefCell<Option<Destructor>> = const { RefCell::new(None) };
        static LAST: RefCell<Option<Destructor>> = const { RefCell::new(None) };
    }
    let (sender, results) = mpsc::channel();
    thread::spawn(move || {
        let use_variable = move || {
            let seen = VARIABLE.with(|value| {
                VARIABLE.set(1);
                value.copied()
            });
            let inner = Context::current().run(|| VARIABLE.scope(2, || VARIABLE.get()));
            sender.send((seen, inner, VARIABLE.get())).unwrap();
        };
        FIRST.set(Some(on_drop(use_variable.clone())));
        VARIABLE.set(0);
        LAST.set(Some(on_drop(use_variable)));
    })
    .join()
    .unwrap();
    let results: Vec<_> = results.iter().collect();
    assert_eq!(results.len(), 2);
    for (seen, inner, after) in results {
        // Depending on the order of destructors, the context of the thread may be gone.
        assert!(matches!(seen, Some(0 | 1 | 7)));
        assert_eq!((inner, after), (Some(2), Some(1)));
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri starts no processes")]
fn exit_does_not_drop_what_is_being_read() {
    static VARIABLE: ContextVar<Destructor> = ContextVar::new("variable");
    const NAME: &str = "context::values::exit_does_not_drop_what_is_being_read";
    const CHILD: &str = "CTXVARS_TEST_EXITS";
    if env::var_os(CHILD).is_some() {
        // Another thread may still read while `exit` runs the destructors of thread-locals.
        VARIABLE.set(on_drop(|| process::abort()));
        VARIABLE.with(|_| {
            VARIABLE.set(on_drop(|| process::abort()));
            VARIABLE.with(|_| process::exit(7));
        });
    }
    // Cargo starts tests with an absolute path. `current_exe` would need /proc.
    let test = env::args_os().next().unwrap();
    let child = process::Command::new(test).args(["--exact", NAME]).env(CHILD, "").output();
    assert_eq!(child.unwrap().status.code(), Some(7));
}

#[test]
fn a_reader_keeps_what_it_reads_whatever_it_does() {
    static VARIABLE: ContextVar<(String, Counted)> = ContextVar::new("variable");
    let counter = Counter::new();
    let set = |text: &str| drop(VARIABLE.set((text.into(), counter.value())));
    let text = || VARIABLE.with(|value| value.map(|value| value.0.clone()));
    set("first");
    VARIABLE.with(|first| {
        let first = || first.map(|value| value.0.as_str());
        set("second");
        assert_eq!(counter.dropped(), 0);
        set("third"); // the second value has no reader
        assert_eq!(counter.dropped(), 1);
        VARIABLE.with(|third| {
            let third = || third.map(|value| value.0.as_str());
            set("fourth");
            Context::new().run(|| {
                set("elsewhere");
                VARIABLE.with(|_| set("elsewhere again"));
            });
            assert_eq!((first(), third()), (Some("first"), Some("third")));
            assert_eq!(counter.dropped(), 3); // and the values elsewhere
        });
        assert_eq!(counter.dropped(), 4);
        assert_eq!(first(), Some("first"));
        assert_eq!(text().as_deref(), Some("fourth"));
    });
    assert_eq!(counter.dropped(), 5);
    assert_eq!(text().as_deref(), Some("fourth"));
}

#[test]
fn a_context_entered_by_a_reader_may_change_and_be_dropped() {
    static VARIABLE: ContextVar<(String, Counted)> = ContextVar::new("variable");
    let counter = Counter::new();
    let set = |text: &str| drop(VARIABLE.set((text.into(), counter.value())));
    set("outer");
    VARIABLE.with(|outer| {
        let mut context = Context::current();
        context.run(|| {
            VARIABLE.with(|inner| {
                set("changed");
                assert_eq!(inner.map(|value| value.0.as_str()), Some("outer"));
            });
        });
        drop(context);
        assert_eq!(outer.map(|value| value.0.as_str()), Some("outer"));
        assert_eq!(counter.dropped(), 1);
    });
}

#[test]
fn a_reader_that_panics_drops_what_it_kept() {
    static VARIABLE: ContextVar<Counted> = ContextVar::new("variable");
    let counter = Counter::new();
    VARIABLE.set(counter.value());
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        VARIABLE.with(|_| {
            VARIABLE.set(counter.value());
            assert_eq!(counter.dropped(), 0);
            resume_unwind(Box::new("in a reader"));
        })
    }));
    assert!(outcome.is_err());
    assert_eq!(counter.dropped(), 1);
    VARIABLE.set(counter.value());
    assert_eq!(counter.dropped(), 2); // nothing is pinned any more
}

#[test]
fn a_clone_may_set_its_own_variable() {
    struct Fickle(u32);
    static VARIABLE: ContextVar<Fickle> = ContextVar::new("variable");
    impl Clone for Fickle {
        fn clone(&self) -> Self {
            VARIABLE.set(Self(self.0 + 1));
            VARIABLE.set(Self(self.0 + 1)); // the value being cloned stays alive and unchanged
            Self(self.0)
        }
    }
    VARIABLE.set(Fickle(0));
    for n in 0..10 {
        assert_eq!(VARIABLE.get().map(|value| value.0), Some(n));
    }
}

#[test]
fn a_destructor_may_use_its_own_variable() {
    static VARIABLE: ContextVar<Destructor> = ContextVar::new("variable");
    static SEEN: Mutex<Vec<bool>> = Mutex::new(Vec::new());
    fn value(left: usize) -> Destructor {
        on_drop(move || {
            SEEN.lock().unwrap().push(VARIABLE.is_set());
            if left > 0 {
                VARIABLE.set(value(left - 1));
            }
        })
    }
    let seen = || SEEN.lock().unwrap().clone();
    let token = VARIABLE.set(value(2));
    // The value is dropped when the variable is unset already, and its destructor sets the next one.
    assert!(VARIABLE.reset(token).is_ok());
    assert_eq!(seen(), [false]);
    // The next value is dropped when its successor is set, and replaces it.
    drop(VARIABLE.set(value(0)));
    assert_eq!(seen(), [false, true, true]);
    assert!(VARIABLE.is_set());
}

/// A value that holds a context with the next value.
struct Nest {
    _context: Context,
    _counted: Counted,
}

static NEST: ContextVar<Nest> = ContextVar::new("nest");
static SHARED_NEST: ContextVar<Arc<Nest>> = ContextVar::new("shared nest");

fn nest(counter: &Counter) -> Context {
    let level = |inner, _| {
        Context::new().with_value(&NEST, Nest { _context: inner, _counted: counter.value() })
    };
    (0..DEEP).fold(Context::new(), level)
}

#[test]
fn a_deep_nest_is_dropped_with_a_bounded_stack() {
    let counter = Counter::new();
    drop(nest(&counter));
    assert_eq!(counter.dropped(), DEEP);
    assert_eq!(counter.alive(), 0);
}

#[test]
fn a_deep_nest_of_shared_values_is_dropped_with_a_bounded_stack() {
    let counter = Counter::new();
    let level = |inner, _| {
        let nest = Nest { _context: inner, _counted: counter.value() };
        Context::new().with_value(&SHARED_NEST, Arc::new(nest))
    };
    drop((0..DEEP).fold(Context::new(), level));
    assert_eq!(counter.dropped(), DEEP);
}

#[test]
fn a_deep_nest_of_tokens_and_closures_is_dropped_with_a_bounded_stack() {
    type Held = (Option<Token<Box<dyn std::any::Any + Send + Sync>>>, Counted);
    static VARIABLE: ContextVar<Box<dyn std::any::Any + Send + Sync>> = ContextVar::new("any");
    let counter = Counter::new();
    let mut token = None;
    Context::new().run(|| {
        for _ in 0..DEEP {
            let held: Held = (token.take(), counter.value());
            token = Some(VARIABLE.set(Box::new(held)));
        }
    });
    drop(token);
    assert_eq!(counter.dropped(), DEEP);
    let closure = |inner, _| {
        let kept = counter.value();
        let bound = Context::bind(inner, move || drop(kept));
        Context::new().with_value(&VARIABLE, Box::new(Mutex::new(bound)))
    };
    drop((0..DEEP).fold(Context::new(), closure));
    assert_eq!(counter.dropped(), 2 * DEEP);
}

#[test]
fn a_deep_nest_is_dropped_when_its_thread_ends() {
    let counter = Counter::new();
    let context = nest(&counter);
    let last = counter.value();
    thread::spawn(move || {
        NEST.set(Nest { _context: context, _counted: last });
    })
    .join()
    .unwrap();
    assert_eq!(counter.dropped(), DEEP + 1);
}

#[test]
fn a_deep_nest_is_dropped_when_a_scope_or_a_read_ends() {
    let counter = Counter::new();
    let value = || Nest { _context: nest(&counter), _counted: counter.value() };
    NEST.scope(value(), || assert_eq!(counter.dropped(), 0));
    assert_eq!(counter.dropped(), DEEP + 1);
    NEST.scope(value(), || {
        NEST.with(|_| {
            NEST.set(Nest { _context: Context::new(), _counted: counter.value() });
        });
        assert_eq!(counter.dropped(), 2 * (DEEP + 1));
    });
}

#[test]
fn nests_that_are_not_deep_are_dropped_at_once() {
    static INNER: ContextVar<Counted> = ContextVar::new("inner");
    static OUTER: ContextVar<Destructor> = ContextVar::new("outer");
    let counter = Counter::new();
    let mut inner = Some(Context::new().with_value(&INNER, counter.value()));
    let dropped = Arc::clone(&counter.0);
    let outer = Context::new().with_value(
        &OUTER,
        on_drop(move || {
            drop(inner.take());
            assert_eq!(dropped.load(Ordering::Relaxed), 1);
        }),
    );
    drop(outer);
    assert_eq!(counter.dropped(), 1);
}

#[test]
#[cfg_attr(miri, ignore = "the memory of a node is leaked if a destructor panics")]
fn a_panic_deep_in_a_nest_drops_the_rest() {
    static LEVEL: ContextVar<(Context, Destructor, Counted)> = ContextVar::new("level");
    let depth = if cfg!(miri) { 100 } else { 1000 };
    for panicking in [3, 40, depth - 1] {
        let counter = Counter::new();
        let level = |inner, level| {
            let destructor = on_drop(move || {
                if depth - level == panicking {
                    resume_unwind(Box::new("in a destructor"));
                }
            });
            Context::new().with_value(&LEVEL, (inner, destructor, counter.value()))
        };
        let nest = (0..depth).fold(Context::new(), level);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(nest))).is_err());
        assert_eq!(counter.dropped(), depth);
        // The thread can be used as before.
        drop(self::nest(&counter));
        assert_eq!(counter.dropped(), depth + DEEP);
    }
}

#[test]
fn wide_nests_are_dropped_whole() {
    static LEFT: ContextVar<Context> = ContextVar::new("left");
    static RIGHT: ContextVar<Context> = ContextVar::new("right");
    static LEAF: ContextVar<Counted> = ContextVar::new("leaf");
    let counter = Counter::new();
    let leaf = || Context::new().with_value(&LEAF, counter.value());
    let both = |inner: Context, _| {
        // Each level nests two contexts and shares one of them.
        leaf().with_value(&LEFT, inner.clone()).with_value(&RIGHT, inner)
    };
    let levels = if cfg!(miri) { 50 } else { 10_000 };
    drop((0..levels).fold(Context::new(), both));
    assert_eq!(counter.dropped(), levels);
}

#[test]
fn values_are_dropped_on_whichever_thread_is_last() {
    static VARIABLE: ContextVar<Counted> = ContextVar::new("variable");
    for _ in 0..if cfg!(miri) { 3 } else { 300 } {
        let counter = Counter::new();
        let context = Context::new().with_value(&VARIABLE, counter.value());
        thread::scope(|scope| {
            for _ in 0..3 {
                let mut copy = context.clone();
                let value = counter.value();
                scope.spawn(move || {
                    copy.run(|| drop(VARIABLE.set(value)));
                    copy
                });
            }
            drop(context);
        });
        assert_eq!(counter.dropped(), 4);
    }
}

#[test]
fn values_may_have_any_alignment() {
    #[repr(align(256))]
    struct Aligned(u8);
    static VARIABLE: ContextVar<Aligned> = ContextVar::new("variable");
    static EMPTY: ContextVar<()> = ContextVar::new("empty");
    thread_local!(static PLACE: Cell<usize> = const { Cell::new(0) });
    let token = VARIABLE.set(Aligned(7));
    EMPTY.set(());
    VARIABLE.with(|value| {
        let value = value.unwrap();
        PLACE.set(std::ptr::from_ref(value).addr());
        assert_eq!(value.0, 7);
    });
    assert_eq!(PLACE.get() % 256, 0);
    assert_eq!(EMPTY.get(), Some(()));
    assert!(VARIABLE.reset(token).is_ok());
}
