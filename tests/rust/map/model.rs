//! `Trie` compared with `std::collections::HashMap`, on every heap, with every shape and kind of hash.

use crate::support::heaps::{
    Checked, Fallible, Pointers, Raised, Sought, TestHeap, TestKey, Whole, live_nodes, raise_after,
    raise_never, user_code, while_no_node_is_freed,
};
use crate::support::shapes::{
    BITS, Binary, LongLeaves, MANY, Nibbles, OddBits, Spans, cases, hash,
};
use ctxvars::map::{ArcHeap, Compare, Heap, Insertion, PointerShape, Shape, Trie};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// Compares keys and values by `==`.
struct ByEq;

impl<H: Heap<Key: TestKey, Value = Rc<u32>, Error = Raised>> Compare<H> for ByEq {
    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, Raised> {
        Ok(a.number() == b.number())
    }

    fn equal(&mut self, a: &Rc<u32>, b: &Rc<u32>) -> Result<bool, Raised> {
        Ok(a == b)
    }
}

/// One step of a program on a few maps.
#[derive(Clone, Debug)]
enum Action {
    Insert {
        map: usize,
        key: u32,
        value: u32,
    },
    Remove {
        map: usize,
        key: u32,
    },
    /// The comparison of keys, or the allocator, fails at its n-th call from now.
    InsertRaising {
        map: usize,
        key: u32,
        calls: usize,
    },
    RemoveRaising {
        map: usize,
        key: u32,
        calls: usize,
    },
    Share {
        from: usize,
        to: usize,
    },
    Clear {
        map: usize,
    },
}

const MAPS: usize = 3;

fn action(keys: u32) -> impl Strategy<Value = Action> {
    let map = 0..MAPS;
    prop_oneof![
        8 => (map.clone(), 0..keys, any::<u32>())
            .prop_map(|(map, key, value)| Action::Insert { map, key, value }),
        5 => (map.clone(), 0..keys).prop_map(|(map, key)| Action::Remove { map, key }),
        2 => (map.clone(), 0..keys, 0..4_usize)
            .prop_map(|(map, key, calls)| Action::InsertRaising { map, key, calls }),
        2 => (map.clone(), 0..keys, 0..4_usize)
            .prop_map(|(map, key, calls)| Action::RemoveRaising { map, key, calls }),
        2 => (map.clone(), map.clone()).prop_map(|(from, to)| Action::Share { from, to }),
        1 => map.prop_map(|map| Action::Clear { map }),
    ]
}

type Model = HashMap<u32, u32>;

fn check<K: TestKey, H: TestHeap<K>>(trie: &Trie<H>, model: &Model, bits: u32) {
    trie.check_invariants();
    assert_eq!(trie.len(), model.len());
    assert_eq!(trie.iter().len(), model.len());
    let found: Model = trie.iter().map(|(_, entry)| (entry.key.number(), *entry.value)).collect();
    assert_eq!(&found, model);
    for (key, value) in model {
        let entry = trie.get(hash(*key, bits), |stored: &K| Ok(stored.number() == *key));
        assert_eq!(*entry.ok().flatten().expect("the key is there").value, *value);
        let sought = trie.get(hash(*key, bits), Sought(*key));
        assert_eq!(*sought.ok().flatten().expect("the key is there").value, *value);
    }
    for missing in 9000..9004 {
        assert!(matches!(trie.get(hash(missing, bits), Sought(missing)), Ok(None)));
    }
    assert!(matches!(
        trie.get(hash(9999, bits), |stored: &K| Ok(stored.number() == 9999)),
        Ok(None)
    ));
    let mut cursor = trie.cursor();
    let mut count = 0;
    while cursor.advance().is_some() {
        count += 1;
    }
    assert_eq!(count, model.len());
}

fn run<K: TestKey, H: TestHeap<K>>(actions: &[Action], bits: u32) {
    let mut maps: Vec<(Trie<H>, Model)> = (0..MAPS).map(|_| Default::default()).collect();
    let same = |new: &K, stored: &K| {
        user_code()?;
        Ok(new.number() == stored.number())
    };
    for action in actions {
        match *action {
            Action::Insert { map, key, value } => {
                let (trie, model) = &mut maps[map];
                let done = trie.insert(hash(key, bits), key.into(), Rc::new(value), same);
                let old = match done.expect("nothing raises") {
                    Insertion::Added => None,
                    Insertion::Replaced(old) | Insertion::Unchanged(old) => Some(*old),
                };
                assert_eq!(old, model.insert(key, value));
            }
            Action::Remove { map, key } => {
                let (trie, model) = &mut maps[map];
                let done = trie.remove(hash(key, bits), Sought(key)).expect("nothing raises");
                assert_eq!(done.map(|entry| *entry.value), model.remove(&key));
            }
            Action::InsertRaising { map, key, calls } => {
                raise_after(calls);
                let (trie, model) = &mut maps[map];
                if trie.insert(hash(key, bits), key.into(), Rc::new(key), same).is_ok() {
                    model.insert(key, key);
                }
            }
            Action::RemoveRaising { map, key, calls } => {
                raise_after(calls);
                let (trie, model) = &mut maps[map];
                if trie.remove(hash(key, bits), Sought(key)).is_ok() {
                    model.remove(&key);
                }
            }
            Action::Share { from, to } => {
                maps[to] = (maps[from].0.clone(), maps[from].1.clone());
                assert!(maps[to].0.ptr_eq(&maps[from].0));
            }
            Action::Clear { map } => maps[map] = Default::default(),
        }
        raise_never();
        for (trie, model) in &maps {
            check(trie, model, bits);
        }
        for (a, model_a) in &maps {
            for (b, model_b) in &maps {
                let equal = a.equal(b, &mut ByEq);
                assert_eq!(equal, Ok(model_a == model_b));
            }
        }
    }
    for (trie, model) in &maps {
        // A map that is built from the same entries in another order has the same shape.
        let mut keys: Vec<_> = model.iter().collect();
        keys.sort_unstable();
        let mut apart = Trie::<H>::new();
        for (&key, &value) in keys {
            let done = apart.insert(hash(key, bits), key.into(), Rc::new(value), same);
            assert!(done.is_ok());
        }
        apart.check_invariants();
        let equal = trie.equal(&apart, &mut ByEq);
        assert_eq!(equal, Ok(true));
    }
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn behaves_like_a_hash_map(
        actions in prop::collection::vec(action(40), 1..2 * MANY),
        bits in prop::sample::select(&BITS[..]),
    ) {
        run::<_, Fallible<PointerShape>>(&actions, bits);
        run::<_, Fallible<Binary>>(&actions, bits);
        run::<_, Fallible<OddBits>>(&actions, bits);
        run::<_, Checked<PointerShape>>(&actions, bits);
        run::<_, Checked<Binary>>(&actions, bits);
        run::<_, Checked<OddBits>>(&actions, bits);
        run::<_, Checked<Spans>>(&actions, bits);
        run::<_, Whole<PointerShape>>(&actions, bits);
        run::<_, Whole<Nibbles>>(&actions, bits);
        run::<_, Pointers<PointerShape>>(&actions, bits);
        assert_eq!(live_nodes(), 0);
    }

    #[test]
    #[cfg_attr(miri, ignore)]
    fn many_keys_reach_every_depth(
        actions in prop::collection::vec(action(1000), 300..600),
    ) {
        run_sparsely::<_, Fallible<PointerShape>>(&actions, 32);
        run_sparsely::<_, Checked<Binary>>(&actions, 8);
        run_sparsely::<_, Checked<LongLeaves>>(&actions, 4);
        run_sparsely::<_, Fallible<LongLeaves>>(&actions, 32);
        run_sparsely::<_, Whole<PointerShape>>(&actions, 0);
        run_sparsely::<_, Whole<Nibbles>>(&actions, 1);
        run_sparsely::<_, Whole<Nibbles>>(&actions, 40);
        for bits in BITS {
            run_sparsely::<_, Pointers<PointerShape>>(&actions, bits);
        }
    }
}

/// As [`run`], for long programs: it checks the maps only at the end.
fn run_sparsely<K: TestKey, H: TestHeap<K>>(actions: &[Action], bits: u32) {
    let mut trie = Trie::<H>::new();
    let mut model = Model::new();
    for action in actions {
        match *action {
            Action::Insert { key, value, .. } => {
                let done = trie.insert(hash(key, bits), key.into(), Rc::new(value), |new, old| {
                    Ok(new.number() == old.number())
                });
                assert!(done.is_ok());
                model.insert(key, value);
            }
            Action::Remove { key, .. } => {
                assert!(trie.remove(hash(key, bits), Sought(key)).is_ok());
                model.remove(&key);
            }
            _ => {}
        }
    }
    check(&trie, &model, bits);
}

/// Adds keys one by one, and removes them one by one.
fn fill_and_drain<K: TestKey, H: TestHeap<K>>(bits: u32) {
    let mut map = Trie::<H>::new();
    let mut model = Model::new();
    check(&map, &model, bits);
    for key in 0..20 {
        let done = map.insert(hash(key, bits), key.into(), Rc::new(key), |_, _| Ok(false));
        assert!(done.is_ok());
        model.insert(key, key);
        check(&map, &model, bits);
    }
    for key in 0..20 {
        assert!(matches!(map.remove(hash(key, bits), Sought(key)), Ok(Some(_))));
        model.remove(&key);
        check(&map, &model, bits);
    }
}

#[test]
fn a_leaf_of_every_length_finds_its_keys() {
    for bits in BITS {
        fill_and_drain::<_, Fallible<PointerShape>>(bits);
        fill_and_drain::<_, Checked<PointerShape>>(bits);
        fill_and_drain::<_, Whole<PointerShape>>(bits);
        fill_and_drain::<_, Pointers<PointerShape>>(bits);
        fill_and_drain::<_, Pointers<Nibbles>>(bits);
    }
    assert_eq!(live_nodes(), 0);
}

/// Edits maps whose roots have one reference but are not unique, as the roots of Python maps with weak
/// references. The edit must not free the old root, because a callback would run.
fn edit_watched_roots<S: Shape>(bits: u32) {
    let mut map = Trie::<Checked<S>>::new();
    let mut model = Model::new();
    let keys = (0..40).map(|key| (key, true)).chain((0..40).map(|key| (key, false)));
    for (key, is_added) in keys {
        for calls in (0..12).chain([usize::MAX]) {
            if let Some(tag) = map.tag_mut() {
                *tag = 1;
            }
            let hash = hash(key, bits);
            let place = map.locate(hash, |stored: &u32| Ok(*stored == key)).expect("none raises");
            raise_after(calls);
            // First a new or a stored key, then a new value for it.
            let (done, retired) = if is_added {
                let value = Rc::new(key);
                let (old, retired) =
                    while_no_node_is_freed(|| map.insert_at(hash, place, key, value));
                (old.map(drop), retired)
            } else {
                let (removed, retired) = while_no_node_is_freed(|| map.remove_at(hash, place));
                (removed.map(drop), retired)
            };
            raise_never();
            map.check_invariants();
            drop(retired);
            match (done.is_ok(), is_added) {
                (true, true) => drop(model.insert(key, key)),
                (true, false) => drop(model.remove(&key)),
                (false, _) => {}
            }
            check(&map, &model, bits);
        }
        assert_eq!(model.contains_key(&key), is_added);
    }
}

#[test]
fn an_edit_returns_the_nodes_it_replaces() {
    for bits in BITS {
        edit_watched_roots::<PointerShape>(bits);
        edit_watched_roots::<Binary>(bits);
        edit_watched_roots::<OddBits>(bits);
        edit_watched_roots::<Spans>(bits);
    }
    assert_eq!(live_nodes(), 0);
}

#[test]
fn nothing_is_dropped_twice_or_leaked() {
    let value = Rc::new(1);
    {
        let mut maps: Vec<Trie<Fallible<PointerShape>>> = Vec::new();
        let mut map = Trie::new();
        for key in 0..500 {
            let done = map.insert(hash(key, 8), key, Rc::clone(&value), |new, old| Ok(new == old));
            assert!(done.is_ok());
            if key % 7 == 0 {
                maps.push(map.clone());
            }
        }
        assert_eq!(maps.len(), 72);
        for key in (0..500).step_by(3) {
            assert!(map.remove(hash(key, 8), |k: &u32| Ok(*k == key)).is_ok());
        }
        assert!(Rc::strong_count(&value) > 300);
    }
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn a_panicking_clone_leaves_the_map_as_it_was() {
    /// Panics at the n-th clone.
    struct Fragile(Rc<Cell<usize>>);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            let left = self.0.get();
            assert!(left > 0, "fuse");
            self.0.set(left - 1);
            Self(Rc::clone(&self.0))
        }
    }
    let fuse = Rc::new(Cell::new(usize::MAX));
    let mut map = Trie::<ArcHeap<u32, Fragile>>::new();
    for key in 0..40 {
        let done =
            map.insert(hash(key, 4), key, Fragile(Rc::clone(&fuse)), |new, old| Ok(new == old));
        assert!(done.is_ok());
    }
    for burn in 0..30 {
        for key in [3, 39, 100] {
            let before = map.clone();
            let mut edited = map.clone();
            fuse.set(burn);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let value = Fragile(Rc::clone(&fuse));
                let _ = edited.insert(hash(key, 4), key, value, |new, old| Ok(new == old));
            }));
            fuse.set(usize::MAX);
            if outcome.is_err() {
                edited.check_invariants();
                assert_eq!(edited.len(), before.len());
            }
            map.check_invariants();
            assert_eq!(map.len(), 40);
        }
    }
    drop(map);
    assert_eq!(Rc::strong_count(&fuse), 1);
}
