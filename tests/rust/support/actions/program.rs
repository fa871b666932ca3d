//! Running a program, and comparing all maps with their models after each step.

use super::hashers::reset_seeds;
use super::items::live;
use super::model::ANY;
use super::{Action, Hashes, Hashing, Id, Key, Maps, Model, Models, Value, with_hasher};
use arbitrary::Arbitrary;
use ctxvars::HashTrieMap;

/// Steps on maps with one kind of hasher.
///
/// Its `Debug` output is code, for a test with `use actions::*`.
#[derive(Arbitrary, Clone)]
pub(crate) struct Program {
    pub(crate) hashing: Hashing,
    pub(crate) actions: Vec<Action>,
}

/// The initial maps of a program.
pub(crate) fn maps<S: Hashes>() -> Maps<S> {
    reset_seeds();
    core::array::from_fn(|_| HashTrieMap::default())
}

/// Whether a map has the entries of its model.
pub(crate) fn is_like<S: Hashes>(map: &HashTrieMap<Key, Value, S>, model: &Model) -> bool {
    let is_there = |(key, value): (&Key, &Value)| {
        model.get(&key.id()).is_some_and(|&(copy, expected)| {
            value.get() == expected && (copy == key.copy() || copy == ANY)
        })
    };
    map.len() == model.len() && map.iter().all(is_there)
}

/// Panics unless a map keeps its invariants and has the entries of its model, by every way to read it.
pub(crate) fn assert_like<S: Hashes>(map: &HashTrieMap<Key, Value, S>, model: &mut Model) {
    map.check_invariants();
    assert_eq!(map.len(), model.len(), "the map has {map:?}, the model {model:?}");
    assert_eq!(map.is_empty(), model.is_empty());
    assert_eq!(map.iter().count(), model.len(), "no entry is skipped");
    assert!(is_like(map, model), "the map has {map:?}, the model {model:?}");
    for (key, value) in map {
        model.insert(key.id(), (key.copy(), value.get()));
    }
    assert_eq!(map.len(), model.len(), "no key is there twice");
    for (&id, &(copy, value)) in &*model {
        let (key, found) = map.get_key_value(&Id(id)).expect("the key is found");
        assert_eq!((key.copy(), found.get()), (copy, value));
    }
}

impl Program {
    /// Runs the program. Panics if a map differs from its model.
    pub(crate) fn run(&self) {
        fn with<S: Hashes>(actions: &[Action]) {
            let mut maps = maps::<S>();
            let mut models = Models::default();
            for action in actions {
                let seen = action.act(&mut maps);
                let expected = action.expected(&mut models);
                assert_eq!(seen, expected, "{action:?}");
                for (map, model) in maps.iter().zip(&mut models) {
                    assert_like(map, model);
                }
            }
        }
        let before = live();
        with_hasher!(self.hashing, with(&self.actions));
        assert_eq!(live(), before, "every key and value has been dropped once");
    }
}
