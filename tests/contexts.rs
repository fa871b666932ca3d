//! Context variables of Rust programs, against a model that copies everything.

use ctxvars::{Context, ContextVar, ResetError, Token};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

const VARIABLES: usize = 20;
const CONTEXTS: usize = 3;

#[derive(Clone, Debug)]
enum Action {
    Set {
        variable: usize,
        value: u32,
    },
    Reset {
        token: usize,
        variable: usize,
    },
    CopyCurrent {
        to: usize,
    },
    Clone {
        from: usize,
        to: usize,
    },
    /// Runs the following actions, as many as there are, in a context.
    Enter {
        context: usize,
        actions: Vec<Action>,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let leaf = prop_oneof![
        4 => (0..VARIABLES, any::<u32>()).prop_map(|(variable, value)| Action::Set { variable, value }),
        3 => (0..20_usize, 0..VARIABLES).prop_map(|(token, variable)| Action::Reset { token, variable }),
        1 => (0..CONTEXTS).prop_map(|to| Action::CopyCurrent { to }),
        1 => (0..CONTEXTS, 0..CONTEXTS).prop_map(|(from, to)| Action::Clone { from, to }),
    ];
    leaf.prop_recursive(3, 60, 12, |inner| {
        (0..CONTEXTS, prop::collection::vec(inner, 1..12))
            .prop_map(|(context, actions)| Action::Enter { context, actions })
    })
}

type Values = HashMap<usize, u32>;

/// The model of a context: all its values, and a number that no other context has.
#[derive(Clone, Default)]
struct ModelContext {
    values: Values,
    number: usize,
}

/// The model of a token.
struct ModelToken {
    variable: usize,
    old: Option<u32>,
    context: usize,
}

struct World {
    variables: Vec<ContextVar<u32>>,
    /// `None` while a context is entered.
    contexts: Vec<Option<(Context, ModelContext)>>,
    tokens: Vec<(Token<u32>, ModelToken)>,
    numbers: usize,
}

impl World {
    fn new_number(&mut self) -> usize {
        self.numbers += 1;
        self.numbers
    }

    fn run(&mut self, actions: &[Action], current: &mut ModelContext) {
        for action in actions {
            match action {
                &Action::Set { variable, value } => {
                    let token = self.variables[variable].set(value);
                    let old = current.values.insert(variable, value);
                    assert_eq!(token.old_value().copied(), old);
                    let context = current.number;
                    self.tokens.push((token, ModelToken { variable, old, context }));
                }
                &Action::Reset { token, variable } => {
                    if self.tokens.is_empty() {
                        continue;
                    }
                    let index = token % self.tokens.len();
                    let (token, model) = self.tokens.swap_remove(index);
                    let expected = if variable % 2 == 0 && model.variable != variable {
                        Err(ResetError::OtherVariable)
                    } else if model.context != current.number {
                        Err(ResetError::OtherContext)
                    } else {
                        match model.old {
                            Some(old) => current.values.insert(model.variable, old),
                            None => current.values.remove(&model.variable),
                        };
                        Ok(())
                    };
                    // Every second time the token meets a variable that may not be its own.
                    let by = if variable % 2 == 0 { variable } else { model.variable };
                    assert_eq!(self.variables[by].reset(token), expected);
                }
                &Action::CopyCurrent { to } => {
                    let number = self.new_number();
                    if let Some(slot) = &mut self.contexts[to] {
                        let model = ModelContext { values: current.values.clone(), number };
                        *slot = (Context::copy_current(), model);
                    }
                }
                &Action::Clone { from, to } => {
                    let number = self.new_number();
                    let Some((context, model)) = &self.contexts[from] else { continue };
                    let model = ModelContext { values: model.values.clone(), number };
                    let copy = (context.clone(), model);
                    if let Some(slot) = &mut self.contexts[to] {
                        *slot = copy;
                    }
                }
                Action::Enter { context, actions } => {
                    let Some((mut entered, mut model)) = self.contexts[*context].take() else {
                        continue;
                    };
                    entered.run(|| self.run(actions, &mut model));
                    assert_eq!(entered.len(), model.values.len());
                    self.contexts[*context] = Some((entered, model));
                }
            }
            for (variable, model) in self.variables.iter().zip(0..) {
                assert_eq!(variable.get(), current.values.get(&model).copied());
            }
        }
    }
}

proptest! {
    #[test]
    fn behaves_like_the_model(actions in prop::collection::vec(action(), 1..40)) {
        // A thread of its own, so that the first context is a fresh one.
        std::thread::spawn(move || {
            let mut world = World {
                variables: (0..VARIABLES).map(|_| ContextVar::new("variable")).collect(),
                contexts: (1..=CONTEXTS)
                    .map(|number| {
                        Some((Context::new(), ModelContext { number, ..Default::default() }))
                    })
                    .collect(),
                tokens: Vec::new(),
                numbers: CONTEXTS,
            };
            world.run(&actions, &mut ModelContext::default());
        })
        .join()
        .unwrap();
    }
}

#[test]
fn a_default_is_used_where_nothing_is_set() {
    let variable = ContextVar::with_default("precision", 28);
    assert_eq!(variable.get(), Some(28));
    let token = variable.set(6);
    assert_eq!(variable.get(), Some(6));
    assert_eq!(token.old_value(), None);
    assert_eq!(variable.reset(token), Ok(()));
    assert_eq!(variable.get(), Some(28));
    assert_eq!(variable.name(), "precision");
}

#[test]
fn a_reader_that_sets_its_own_variable_keeps_what_it_reads() {
    let variable = ContextVar::new("text");
    variable.set(String::from("first"));
    variable.with(|before| {
        for n in 0..50 {
            variable.set(n.to_string());
            assert_eq!(before.map(String::as_str), Some("first"));
        }
    });
    assert_eq!(variable.get().as_deref(), Some("49"));
}

#[test]
fn values_die_with_the_last_context_that_has_them() {
    let value = Arc::new(());
    let variable = ContextVar::new("value");
    let token = variable.set(Arc::clone(&value));
    let copy = Context::copy_current();
    assert_eq!(Arc::strong_count(&value), 2);
    assert_eq!(variable.reset(token), Ok(()));
    assert_eq!(Arc::strong_count(&value), 2);
    drop(copy);
    assert_eq!(Arc::strong_count(&value), 1);
    std::thread::spawn({
        let value = Arc::clone(&value);
        move || drop(ContextVar::new("in a thread that ends").set(value))
    })
    .join()
    .unwrap();
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn a_panic_leaves_the_context() {
    let variable = ContextVar::new("variable");
    let mut context = Context::new();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        context.run(|| {
            variable.set(1);
            panic!("in the context");
        });
    }));
    assert!(outcome.is_err());
    assert_eq!(variable.get(), None);
    assert_eq!(context.run(|| variable.get()), Some(1));
}

#[test]
fn a_token_of_another_thread_or_context_is_refused() {
    let variable = Arc::new(ContextVar::new("variable"));
    let token = variable.set(1);
    let elsewhere = Arc::clone(&variable);
    let refused = std::thread::spawn(move || elsewhere.reset(token)).join().unwrap();
    assert_eq!(refused, Err(ResetError::OtherContext));
    let token = variable.set(2);
    assert_eq!(
        Context::copy_current().run(|| variable.reset(token)),
        Err(ResetError::OtherContext)
    );
    assert_eq!(variable.get(), Some(2));
}

#[test]
fn contexts_and_tokens_go_between_threads() {
    fn assert_send<T: Send>() {}
    fn assert_sync<T: Sync>() {}
    assert_send::<Context>();
    assert_sync::<Context>();
    assert_send::<Token<u32>>();
    assert_sync::<ContextVar<u32>>();
    let variable = Arc::new(ContextVar::new("variable"));
    variable.set(1);
    let mut copy = Context::copy_current();
    let elsewhere = Arc::clone(&variable);
    let seen = std::thread::spawn(move || (elsewhere.get(), copy.run(|| elsewhere.get())));
    assert_eq!(seen.join().unwrap(), (None, Some(1)));
}
