//! `follow`, compared with a model that records which variables were set.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use crate::support::variables::Number;
use ctxvars::context::{Bindings, Version, follow};
use ctxvars::map::ArcHeap;
use proptest::prelude::*;
use std::collections::HashMap;

/// Enough for a map with branches.
const VARIABLES: u32 = 40;

/// Few values, so that variables often have equal values.
type Value = u8;
type Numbers = ArcHeap<Number, Value, Version>;

#[derive(Clone, Debug)]
enum Action {
    /// The leader sets or unsets a variable.
    Lead(u32, Option<Value>),
    /// The follower sets or unsets a variable.
    Set(u32, Option<Value>),
    /// The follower restores the value that a variable had before it was set.
    Reset(u32),
    Follow,
}

fn action() -> impl Strategy<Value = Action> {
    let value = prop::option::weighted(0.8, 0..3_u8);
    prop_oneof![
        4 => (0..VARIABLES, value.clone()).prop_map(|(key, value)| Action::Lead(key, value)),
        2 => (0..VARIABLES, value).prop_map(|(key, value)| Action::Set(key, value)),
        2 => (0..VARIABLES).prop_map(Action::Reset),
        2 => Just(Action::Follow),
    ]
}

/// A variable of the follower: the inherited value and the current value.
#[derive(Clone, Copy, Default)]
struct Followed {
    inherited: Option<Value>,
    own: Option<Option<Value>>,
}

fn put(bindings: &mut Bindings<Numbers>, key: u32, value: Option<Value>) {
    let Ok(()) = match value {
        Some(value) => bindings.set(Number(key), value).map(drop),
        None => bindings.remove(&Number(key)).map(drop),
    };
}

fn check(actions: &[Action]) {
    let (mut leader, mut own, mut inherited) =
        (Bindings::<Numbers>::new(), Bindings::new(), Bindings::new());
    let mut leads: HashMap<u32, Option<Value>> = HashMap::new();
    let mut model: HashMap<u32, Followed> = HashMap::new();
    for action in actions {
        match *action {
            Action::Lead(key, value) => {
                put(&mut leader, key, value);
                leads.insert(key, value);
            }
            Action::Set(key, value) => {
                put(&mut own, key, value);
                let followed = model.entry(key).or_default();
                // Setting the inherited value is the same as setting nothing.
                followed.own = (value != followed.inherited).then_some(value);
            }
            Action::Reset(key) => {
                let followed = model.entry(key).or_default();
                followed.own = None;
                put(&mut own, key, followed.inherited);
            }
            Action::Follow => {
                let Ok(()) = follow(&mut own, &mut inherited, &leader, |a, b| a == b);
                for (&key, &value) in &leads {
                    let followed = model.entry(key).or_default();
                    if followed.own.is_none() {
                        followed.inherited = value;
                    }
                }
            }
        }
        for (&key, followed) in &model {
            let Ok(value) = own.get(&Number(key)).map(|value| value.copied());
            assert_eq!(value, followed.own.unwrap_or(followed.inherited), "variable {key}");
        }
    }
}

proptest! {
    #[test]
    fn unset_variables_follow_the_leader(actions in prop::collection::vec(action(), 1..150)) {
        check(&actions);
    }
}

#[test]
fn an_unchanged_leader_changes_nothing() {
    let (mut own, mut inherited) = (Bindings::<Numbers>::new(), Bindings::new());
    put(&mut inherited, 1, Some(1));
    put(&mut own, 2, Some(2));
    let (leader, version) = (inherited.clone(), own.version());
    let Ok(()) = follow(&mut own, &mut inherited, &leader, |a, b| a == b);
    assert_eq!(own.version(), version);
    assert_eq!(inherited.version(), leader.version());
}
