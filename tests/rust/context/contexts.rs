//! Context variables of Rust programs, against a model that copies everything.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use ctxvars::{Context, ContextVar, ResetError, Token};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Barrier};
use std::thread;

/// Enough for a map with branches.
const VARIABLES: usize = 20;
const CONTEXTS: usize = 3;

/// Actions in a row, besides those inside of others.
const LONGEST: usize = if cfg!(miri) { 6 } else { 40 };

/// A value that is counted, so that one that is leaked or dropped twice is noticed.
#[derive(Clone)]
struct Value(u32, #[expect(dead_code, reason = "held, to be counted")] Arc<()>);

static ALL: [ContextVar<Value>; VARIABLES] = [const { ContextVar::new("variable") }; VARIABLES];

#[derive(Clone, Debug)]
enum Action {
    Set {
        variable: usize,
        value: u32,
    },
    Delete {
        variable: usize,
    },
    /// Resets a token, with its variable or with another one.
    Reset {
        token: usize,
        variable: usize,
    },
    Current {
        to: usize,
    },
    Clone {
        from: usize,
        to: usize,
    },
    WithValue {
        context: usize,
        variable: usize,
        value: u32,
    },
    /// Runs actions in a context.
    Enter {
        context: usize,
        actions: Vec<Action>,
    },
    /// Runs actions with a value for a variable.
    Scope {
        variable: usize,
        value: u32,
        actions: Vec<Action>,
    },
    /// Runs actions while a value is read.
    Read {
        variable: usize,
        actions: Vec<Action>,
    },
    /// Runs actions in a copy of a context.
    Call {
        context: usize,
        actions: Vec<Action>,
    },
    /// Leaves everything up to the next `Catch`, or the end.
    Panic,
    Catch {
        actions: Vec<Action>,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let (variable, context, value) = (0..VARIABLES, 0..CONTEXTS, any::<u32>());
    let leaf = prop_oneof![
        8 => (variable.clone(), value)
            .prop_map(|(variable, value)| Action::Set { variable, value }),
        3 => variable.clone().prop_map(|variable| Action::Delete { variable }),
        6 => (0..20_usize, variable.clone())
            .prop_map(|(token, variable)| Action::Reset { token, variable }),
        2 => context.clone().prop_map(|to| Action::Current { to }),
        2 => (context.clone(), context.clone()).prop_map(|(from, to)| Action::Clone { from, to }),
        2 => (context.clone(), variable.clone(), value).prop_map(|(context, variable, value)| {
            Action::WithValue { context, variable, value }
        }),
        1 => Just(Action::Panic),
    ];
    leaf.prop_recursive(4, 80, 12, move |inner| {
        let actions = prop::collection::vec(inner, 1..12);
        prop_oneof![
            3 => (context.clone(), actions.clone())
                .prop_map(|(context, actions)| Action::Enter { context, actions }),
            3 => (variable.clone(), value, actions.clone()).prop_map(
                |(variable, value, actions)| Action::Scope { variable, value, actions }
            ),
            3 => (variable.clone(), actions.clone())
                .prop_map(|(variable, actions)| Action::Read { variable, actions }),
            1 => (context.clone(), actions.clone())
                .prop_map(|(context, actions)| Action::Call { context, actions }),
            1 => actions.prop_map(|actions| Action::Catch { actions }),
        ]
    })
}

/// The model of a context: all its values, and a number that no other context has.
#[derive(Clone, Default)]
struct ModelContext {
    values: HashMap<usize, u32>,
    number: usize,
}

/// The model of a token.
struct ModelToken {
    variable: usize,
    old: Option<u32>,
    context: usize,
}

/// The program under test, and the model of it.
struct World {
    live: Arc<()>,
    /// `None` while a context is entered.
    contexts: Vec<Option<(Context, ModelContext)>>,
    tokens: Vec<(Token<Value>, ModelToken)>,
    numbers: usize,
    /// The current context is the last one.
    current: Vec<ModelContext>,
}

/// What `Action::Panic` panics with.
struct Unwinding;

impl World {
    fn value(&self, number: u32) -> Value {
        Value(number, Arc::clone(&self.live))
    }

    fn new_number(&mut self) -> usize {
        self.numbers += 1;
        self.numbers
    }

    fn current(&mut self) -> &mut ModelContext {
        self.current.last_mut().unwrap()
    }

    fn put(&mut self, variable: usize, value: Option<u32>) {
        let values = &mut self.current().values;
        match value {
            Some(value) => values.insert(variable, value),
            None => values.remove(&variable),
        };
    }

    fn check(&mut self) {
        let expected = &self.current().values;
        for (variable, number) in ALL.iter().zip(0..) {
            let expected = expected.get(&number);
            assert_eq!(variable.get().map(|value| value.0).as_ref(), expected);
            assert_eq!(variable.is_set(), expected.is_some());
        }
    }

    fn reset(&mut self, token: usize, variable: usize) {
        if self.tokens.is_empty() {
            return;
        }
        let (token, model) = self.tokens.swap_remove(token % self.tokens.len());
        // Every second time the token meets a variable that may not be its own.
        let by = if variable % 2 == 0 { variable } else { model.variable };
        let expected = if by != model.variable {
            Err(ResetError::OtherVariable)
        } else if model.context != self.current().number {
            Err(ResetError::OtherContext)
        } else {
            self.put(model.variable, model.old);
            Ok(())
        };
        assert_eq!(ALL[by].reset(token), expected);
    }
}

/// Calls `f` and goes on unwinding afterwards if it panics. The world is borrowed in between only.
fn finally(f: impl FnOnce(), then: impl FnOnce()) {
    let outcome = catch_unwind(AssertUnwindSafe(f));
    then();
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

fn run(world: &RefCell<World>, actions: &[Action]) {
    for action in actions {
        step(world, action);
        world.borrow_mut().check();
    }
}

fn step(cell: &RefCell<World>, action: &Action) {
    let mut world = cell.borrow_mut();
    match action {
        &Action::Set { variable, value } => {
            let token = ALL[variable].set(world.value(value));
            let old = world.current().values.insert(variable, value);
            assert_eq!(token.old_value().map(|value| value.0), old);
            let context = world.current().number;
            world.tokens.push((token, ModelToken { variable, old, context }));
        }
        &Action::Delete { variable } => {
            let token = ALL[variable].delete();
            let old = world.current().values.remove(&variable);
            let removed = token.as_ref().and_then(|token| token.old_value());
            assert_eq!(removed.map(|value| value.0), old);
            let context = world.current().number;
            let model = ModelToken { variable, old, context };
            world.tokens.extend(token.map(|token| (token, model)));
        }
        &Action::Reset { token, variable } => world.reset(token, variable),
        &Action::Current { to } => {
            let number = world.new_number();
            let model = ModelContext { values: world.current().values.clone(), number };
            if let Some(slot) = &mut world.contexts[to] {
                *slot = (Context::current(), model);
            }
        }
        &Action::Clone { from, to } => {
            let number = world.new_number();
            let Some((context, model)) = &world.contexts[from] else { return };
            let model = ModelContext { values: model.values.clone(), number };
            let copy = (context.clone(), model);
            if let Some(slot) = &mut world.contexts[to] {
                *slot = copy;
            }
        }
        &Action::WithValue { context, variable, value } => {
            let bound = world.value(value);
            let Some((before, mut model)) = world.contexts[context].take() else { return };
            let after = before.with_value(&ALL[variable], bound);
            model.values.insert(variable, value);
            for (variable, number) in ALL.iter().zip(0..) {
                let expected = model.values.get(&number);
                assert_eq!(after.get(variable).map(|value| value.0).as_ref(), expected);
                assert_eq!(after.contains(variable), expected.is_some());
            }
            world.contexts[context] = Some((after, model));
        }
        Action::Enter { context, actions } => {
            let Some((entered, model)) = world.contexts[*context].take() else { return };
            world.current.push(model);
            drop(world);
            let entered = RefCell::new(entered);
            finally(
                || entered.borrow_mut().run(|| run(cell, actions)),
                || {
                    let mut world = cell.borrow_mut();
                    let model = world.current.pop().unwrap();
                    let entered = entered.take();
                    assert_eq!(entered.len(), model.values.len());
                    assert_eq!(entered.is_empty(), model.values.is_empty());
                    world.contexts[*context] = Some((entered, model));
                },
            );
        }
        Action::Scope { variable, value, actions } => {
            let bound = world.value(*value);
            let before = world.current().values.get(variable).copied();
            world.put(*variable, Some(*value));
            drop(world);
            finally(
                || ALL[*variable].scope(bound, || run(cell, actions)),
                || cell.borrow_mut().put(*variable, before),
            );
        }
        Action::Read { variable, actions } => {
            let expected = world.current().values.get(variable).copied();
            drop(world);
            ALL[*variable].with(|value| {
                let seen = |value: &Value| value.0;
                assert_eq!(value.map(seen), expected);
                finally(|| run(cell, actions), || assert_eq!(value.map(seen), expected));
            });
        }
        Action::Call { context, actions } => {
            let number = world.new_number();
            let Some((context, model)) = &world.contexts[*context] else { return };
            let model = ModelContext { values: model.values.clone(), number };
            let call = context.clone().bind_fn(|actions: &[Action]| run(cell, actions));
            world.current.push(model);
            drop(world);
            finally(|| call(actions), || drop(cell.borrow_mut().current.pop()));
        }
        Action::Panic => {
            drop(world);
            resume_unwind(Box::new(Unwinding));
        }
        Action::Catch { actions } => {
            drop(world);
            catch(|| run(cell, actions));
        }
    }
}

/// Calls `f`, which may panic as `Action::Panic` does, but not otherwise.
fn catch(f: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(f)) {
        assert!(panic.is::<Unwinding>(), "a check failed");
    }
}

fn cases() -> ProptestConfig {
    let cases = if cfg!(miri) { 4 } else { 256 };
    let failure_persistence = None; // It would need a file system, which Miri does not give.
    ProptestConfig { cases, failure_persistence, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn behaves_like_the_model(actions in prop::collection::vec(action(), 1..=LONGEST)) {
        let live = Arc::new(());
        let in_thread = Arc::clone(&live);
        // A thread of its own, so that the first context is a fresh one.
        let thread = thread::spawn(move || {
            let context = |number| {
                Some((Context::new(), ModelContext { number, ..ModelContext::default() }))
            };
            let world = RefCell::new(World {
                live: in_thread,
                contexts: (1..=CONTEXTS).map(context).collect(),
                tokens: Vec::new(),
                numbers: CONTEXTS,
                current: vec![ModelContext::default()],
            });
            catch(|| run(&world, &actions));
            world.borrow_mut().check();
        });
        prop_assert!(thread.join().is_ok());
        prop_assert_eq!(Arc::strong_count(&live), 1, "a value was leaked");
    }
}

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
fn more_variables_than_a_thread_remembers_lookups_of() {
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
fn a_scope_ends_as_it_began() {
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
    catch(|| {
        context.run(|| {
            VARIABLE.set(1);
            VARIABLE.scope(2, || resume_unwind(Box::new(Unwinding)))
        });
    });
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
fn contexts_tokens_and_variables_go_between_threads() {
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
fn each_call_of_a_bound_callback_has_a_copy_of_its_own() {
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
