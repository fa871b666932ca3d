//! Random programs with context variables, compared with a model that copies all values.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use ctxvars::{Context, ContextVar, ResetError, Token};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

/// Enough for a map with branches.
const VARIABLES: usize = 20;
const CONTEXTS: usize = 3;

/// The number of actions in a list; actions may contain lists.
const LONGEST: usize = if cfg!(miri) { 6 } else { 40 };

/// A counted value, to detect leaks and double drops.
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
    /// Resets a token, with its variable or another variable.
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
    /// Unwinds to the next `Catch`, or to the end.
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

/// The model of a context: all its values, and a unique number.
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

/// The state of the program, and its model.
struct World {
    live: Arc<()>,
    /// `None` while a context is entered.
    contexts: Vec<Option<(Context, ModelContext)>>,
    tokens: Vec<(Token<Value>, ModelToken)>,
    numbers: usize,
    /// The current context is the last one.
    current: Vec<ModelContext>,
}

/// The payload of `Action::Panic`.
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
        // Every second time, the variable is a random one.
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

/// Calls `f`, and catches the panic of `Action::Panic` only.
fn catch(f: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(f)) {
        assert!(panic.is::<Unwinding>(), "a check failed");
    }
}

fn cases() -> ProptestConfig {
    let cases = if cfg!(miri) { 4 } else { 256 };
    let failure_persistence = None; // It needs a file system, which Miri does not provide.
    ProptestConfig { cases, failure_persistence, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn behaves_like_the_model(actions in prop::collection::vec(action(), 1..=LONGEST)) {
        let live = Arc::new(());
        let in_thread = Arc::clone(&live);
        // A new thread, so that the first context is empty.
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
