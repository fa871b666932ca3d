//! An edit of a map that shares no node clones nothing. An edit of a shared map clones at most the entries
//! of one leaf, and does not change the other map.

use crate::support::actions::{Bits, Call, Id, Key, Value, k, light, live, put_out, v};
use ctxvars::hash_trie_map::Entry;
use ctxvars::{HashTrieMap, HashTrieSet};
use std::cell::Cell;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The most entries that an edit of one key clones: those of the longest leaf, and one more.
const MOST_ENTRIES: usize = 17;

/// Sizes around those at which leaves split and merge, and of deep maps.
const SIZES: &[u32] = if cfg!(miri) {
    &[1, 9, 17, 40]
} else {
    &[1, 2, 8, 9, 15, 16, 17, 18, 19, 33, 64, 65, 100, 257, 1000, 2000]
};

/// The largest map that grows and shrinks by one entry at a time.
const LARGEST: u32 = if cfg!(miri) { 40 } else { 2000 };

thread_local! {
    static CLONES: Cell<usize> = const { Cell::new(0) };
}

/// A key or a value that counts its clones.
trait Counted: Clone + Eq + Hash + 'static {
    fn of(number: u32) -> Self;
    fn number(&self) -> u32;
}

/// It has no destructor, so leaves are long.
#[derive(PartialEq, Eq, Hash, Debug, Default)]
struct Plain(u32);

/// It has a destructor, so leaves are short.
#[derive(PartialEq, Eq, Hash, Debug, Default)]
struct Boxed(Box<u32>);

impl Clone for Plain {
    fn clone(&self) -> Self {
        CLONES.set(CLONES.get() + 1);
        Self(self.0)
    }
}

impl Clone for Boxed {
    fn clone(&self) -> Self {
        CLONES.set(CLONES.get() + 1);
        Self(self.0.clone())
    }
}

impl Counted for Plain {
    fn of(number: u32) -> Self {
        Self(number)
    }

    fn number(&self) -> u32 {
        self.0
    }
}

impl Counted for Boxed {
    fn of(number: u32) -> Self {
        Self(Box::new(number))
    }

    fn number(&self) -> u32 {
        *self.0
    }
}

type Map<C> = HashTrieMap<C, C>;
type Set<C> = HashTrieSet<C>;

/// A map whose keys and values may panic when they are cloned.
type Burning = HashTrieMap<Key, Value, Bits<64>>;

/// An edit of a map that has the keys below its argument.
type Edit<M> = (&'static str, fn(&mut M, u32));

/// The number of clones of keys and values in `edit`.
fn clones_in<T>(edit: impl FnOnce() -> T) -> usize {
    let before = CLONES.get();
    drop(edit());
    CLONES.get() - before
}

fn map_of<C: Counted>(len: u32) -> Map<C> {
    (0..len).map(|n| (C::of(n), C::of(n))).collect()
}

fn set_of<C: Counted>(len: u32) -> Set<C> {
    (0..len).map(C::of).collect()
}

fn numbers<C: Counted>(map: &Map<C>) -> Vec<(u32, u32)> {
    map.iter().map(|(key, value)| (key.number(), value.number())).collect()
}

/// A stored key.
fn there<C: Counted>(len: u32) -> C {
    C::of(len / 2)
}

/// All operations of a map on one key.
fn edits_of_one_key<C: Counted + Default>() -> Vec<Edit<Map<C>>> {
    vec![
        ("insert a new key", |map, len| assert!(map.insert(C::of(len), C::of(1)).is_none())),
        ("insert a stored key", |map, len| assert!(map.insert(there(len), C::of(1)).is_some())),
        ("remove", |map, len| assert!(map.remove(&there::<C>(len)).is_some())),
        ("remove a missing key", |map, len| assert!(map.remove(&C::of(len)).is_none())),
        ("remove_entry", |map, len| assert!(map.remove_entry(&there::<C>(len)).is_some())),
        ("get_mut", |map, len| {
            *map.get_mut(&there::<C>(len)).expect("the key is there") = C::of(7);
            assert_eq!(map[&there::<C>(len)].number(), 7);
        }),
        ("get_mut of a missing key", |map, len| assert!(map.get_mut(&C::of(len)).is_none())),
        ("get_disjoint_mut", |map, len| {
            let [Some(value), None] = map.get_disjoint_mut([&there::<C>(len), &C::of(len)]) else {
                panic!("the first key is there");
            };
            *value = C::of(7);
            assert_eq!(map[&there::<C>(len)].number(), 7);
        }),
        ("or_insert of a new key", |map, len| {
            let value = map.entry(C::of(len)).or_insert(C::of(3));
            assert_eq!(value.number(), 3);
            *value = C::of(4);
            assert_eq!(map[&C::of(len)].number(), 4);
        }),
        ("or_insert of a stored key", |map, len| {
            *map.entry(there(len)).or_insert(C::of(3)) = C::of(4);
            assert_eq!(map[&there::<C>(len)].number(), 4);
        }),
        ("or_insert_with, or_insert_with_key, or_default", |map, len| {
            map.entry(there(len)).or_insert_with(|| C::of(3));
            map.entry(there(len)).or_insert_with_key(|_| C::of(3));
            *map.entry(there(len)).or_default() = C::of(3);
        }),
        ("or_default of a new key", |map, len| *map.entry(C::of(len)).or_default() = C::of(3)),
        ("and_modify", |map, len| {
            map.entry(there(len)).and_modify(|value| *value = C::of(9)).or_insert(C::of(1));
            assert_eq!(map[&there::<C>(len)].number(), 9);
        }),
        ("insert_entry of a stored key", |map, len| {
            let mut entry = map.entry(there(len)).insert_entry(C::of(5));
            assert_eq!(entry.get().number(), 5);
            assert_eq!(entry.insert(C::of(6)).number(), 5);
            *entry.get_mut() = C::of(7);
            assert_eq!((entry.key().number(), entry.get().number()), (len / 2, 7));
        }),
        ("insert_entry of a new key", |map, len| {
            let mut entry = map.entry(C::of(len)).insert_entry(C::of(5));
            assert_eq!((entry.key().number(), entry.get().number()), (len, 5));
            *entry.get_mut() = C::of(6);
            assert_eq!(map[&C::of(len)].number(), 6);
        }),
        ("an entry that is only read", |map, len| {
            let Entry::Occupied(entry) = map.entry(there(len)) else { panic!("the key is there") };
            assert_eq!((entry.key().number(), entry.get().number()), (len / 2, len / 2));
        }),
        ("a vacant entry that is dropped", |map, len| {
            assert_eq!(map.entry(C::of(len)).key().number(), len);
        }),
        ("into_mut", |map, len| {
            if let Entry::Occupied(entry) = map.entry(there(len)) {
                *entry.into_mut() = C::of(8);
            }
            assert_eq!(map[&there::<C>(len)].number(), 8);
        }),
        ("remove of an entry", |map, len| {
            if let Entry::Occupied(entry) = map.entry(there(len)) {
                assert_eq!(entry.remove_entry().0.number(), len / 2);
            }
            assert!(!map.contains_key(&there::<C>(len)));
        }),
    ]
}

/// Two edits of one key through the same entry.
fn pairs_of_edits<C: Counted>() -> Vec<Edit<Map<C>>> {
    vec![
        ("insert_entry of a new key, removed again", |map, len| {
            let entry = map.entry(C::of(len)).insert_entry(C::of(5));
            let (key, value) = entry.remove_entry();
            assert_eq!((key.number(), value.number()), (len, 5));
        }),
        ("insert_entry of a stored key, removed again", |map, len| {
            let entry = map.entry(there(len)).insert_entry(C::of(5));
            assert_eq!(entry.remove().number(), 5);
        }),
    ]
}

/// All operations of a map on many keys.
fn edits_of_many_keys<C: Counted>() -> Vec<Edit<Map<C>>> {
    vec![
        ("iter_mut", |map, _| map.iter_mut().for_each(|(_, value)| *value = C::of(1))),
        ("values_mut", |map, _| map.values_mut().for_each(|value| *value = C::of(1))),
        ("retain all", |map, _| map.retain(|_, _| true)),
        ("retain some", |map, _| map.retain(|key, _| key.number() % 3 == 0)),
        ("retain none", |map, _| map.retain(|_, _| false)),
        ("extract_if", |map, _| _ = map.extract_if(|key, _| key.number() % 3 == 0).count()),
        ("extract_if in part", |map, _| drop(map.extract_if(|key, _| key.number() > 2).next())),
        ("drain", |map, len| assert_eq!(map.drain().count(), len as usize)),
        ("drain in part", |map, _| drop(map.drain().next())),
        ("extend with one entry", |map, len| map.extend([(C::of(len), C::of(1))])),
        ("extend with few entries", |map, len| {
            map.extend((len..len + 5).chain(0..5).map(|n| (C::of(n), C::of(1))));
        }),
        ("extend with many entries", |map, len| {
            map.extend((len / 2..2 * len).chain(0..len).map(|n| (C::of(n), C::of(1))));
            assert_eq!(map.len(), 2 * len as usize);
            assert!(map.values().all(|value| value.number() == 1));
        }),
        ("clear", |map, _| map.clear()),
        ("into_iter", |map, len| {
            assert_eq!(std::mem::take(map).into_iter().count(), len as usize);
        }),
        ("into_iter in part", |map, _| drop(std::mem::take(map).into_iter().nth(3))),
        ("into_keys and into_values", |map, len| {
            assert_eq!(std::mem::take(map).into_keys().count(), len as usize);
            map.extend((0..len).map(|n| (C::of(n), C::of(n))));
            assert_eq!(std::mem::take(map).into_values().count(), len as usize);
        }),
    ]
}

/// All operations of a set, as operations on its first or its next item.
fn edits_of_sets<C: Counted>() -> Vec<Edit<Set<C>>> {
    vec![
        ("insert a new item", |set, len| assert!(set.insert(C::of(len)))),
        ("insert a stored item", |set, len| assert!(!set.insert(there(len)))),
        ("replace a stored item", |set, len| assert!(set.replace(there(len)).is_some())),
        ("replace a missing item", |set, len| assert!(set.replace(C::of(len)).is_none())),
        ("remove", |set, len| assert!(set.remove(&there::<C>(len)))),
        ("take", |set, len| assert!(set.take(&there::<C>(len)).is_some())),
        ("retain", |set, _| set.retain(|item| item.number() % 3 == 0)),
        ("extract_if", |set, _| _ = set.extract_if(|item| item.number() % 3 == 0).count()),
        ("drain", |set, len| assert_eq!(set.drain().count(), len as usize)),
        ("extend", |set, len| set.extend((len / 2..2 * len).map(C::of))),
        ("clear", |set, _| set.clear()),
        ("into_iter", |set, len| {
            assert_eq!(std::mem::take(set).into_iter().count(), len as usize);
        }),
    ]
}

fn check_unshared<C: Counted + Default>() {
    for &len in SIZES {
        let single = edits_of_one_key::<C>().into_iter().chain(pairs_of_edits());
        for (name, edit) in single.chain(edits_of_many_keys()) {
            let mut map = map_of::<C>(len);
            assert_eq!(clones_in(|| edit(&mut map, len)), 0, "{name}, {len} entries");
            map.check_invariants();
        }
        for (name, edit) in edits_of_sets::<C>() {
            let mut set = set_of::<C>(len);
            assert_eq!(clones_in(|| edit(&mut set, len)), 0, "{name}, {len} items");
        }
    }
}

#[test]
fn an_unshared_map_clones_nothing() {
    check_unshared::<Plain>();
    check_unshared::<Boxed>();
}

/// Inserts and removes all keys in different orders, so that leaves grow, split, merge and collapse.
fn grow_and_shrink<C: Counted + Default>() {
    let mut map = Map::<C>::new();
    let clones = clones_in(|| {
        for n in 0..LARGEST {
            if n % 2 == 0 {
                map.insert(C::of(n), C::of(n));
            } else {
                assert_eq!(map.entry(C::of(n)).or_insert(C::of(n)).number(), n);
            }
        }
        map.check_invariants();
        for n in (0..LARGEST).map(|n| n * 7 % LARGEST) {
            let removed = match map.entry(C::of(n)) {
                Entry::Occupied(entry) if n % 2 == 0 => Some(entry.remove()),
                _ => map.remove(&C::of(n)),
            };
            assert_eq!(removed.map(|value| value.number()), Some(n));
            if n % 16 == 0 {
                map.check_invariants();
            }
        }
        assert!(map.is_empty());
    });
    assert_eq!(clones, 0);
}

#[test]
fn growing_and_shrinking_an_unshared_map_clones_nothing() {
    grow_and_shrink::<Plain>();
    grow_and_shrink::<Boxed>();
}

fn check_shared<C: Counted + Default>() {
    for &len in SIZES {
        for is_partly_shared in [false, true] {
            let edits = edits_of_one_key::<C>().into_iter().map(|it| (it, MOST_ENTRIES));
            let bulk = edits_of_many_keys().into_iter().map(|it| (it, 2 * len as usize + 10));
            let pairs = pairs_of_edits().into_iter().map(|it| (it, 2 * MOST_ENTRIES));
            for ((name, edit), most_entries) in edits.chain(pairs).chain(bulk) {
                let mut map = map_of::<C>(len);
                let other = map.clone();
                if is_partly_shared {
                    map.insert(C::of(0), C::of(0));
                }
                let before = numbers(&other);
                let clones = clones_in(|| edit(&mut map, len));
                // An entry is a key and a value.
                let is_few = clones <= 2 * most_entries;
                assert!(is_few, "{name}, {len} entries: {clones} clones");
                assert_eq!(numbers(&other), before, "{name}, {len} entries");
                map.check_invariants();
                other.check_invariants();
            }
        }
    }
}

#[test]
fn an_edit_of_a_shared_map_clones_one_leaf_and_keeps_the_other_map() {
    check_shared::<Plain>();
    check_shared::<Boxed>();
}

/// Runs an edit of a map that shares nodes, once for each clone that may panic.
fn burn_clones(len: u16, is_partly_shared: bool, edit: impl Fn(&mut Burning)) {
    for calls in 0.. {
        let outside = live();
        let mut map: Burning = (0..len).map(|id| (k(id, 0), v(1))).collect();
        let other = map.clone();
        if is_partly_shared {
            map.insert(k(0, 0), v(1));
        }
        light(Call::Clone, calls);
        let done = catch_unwind(AssertUnwindSafe(|| edit(&mut map)));
        let was_too_many = put_out();
        map.check_invariants();
        other.check_invariants();
        let is_whole = |map: &Burning| {
            map.len() == usize::from(len) && (0..len).all(|id| map.contains_key(&Id(id)))
        };
        assert!(is_whole(&other), "{len} entries, clone {calls}: the other map has changed");
        assert!(
            done.is_ok() || is_whole(&map),
            "{len} entries, clone {calls}: the map has changed"
        );
        drop((map, other));
        assert_eq!(live(), outside, "{len} entries, clone {calls}");
        if was_too_many {
            return;
        }
    }
}

#[test]
fn a_panic_of_clone_in_a_split_or_a_merge_changes_nothing() {
    let lens: Vec<u16> = if cfg!(miri) { vec![9, 17] } else { (1..130).collect() };
    for len in lens {
        for is_partly_shared in [false, true] {
            burn_clones(len, is_partly_shared, |map| drop(map.insert(k(len, 0), v(2))));
            burn_clones(len, is_partly_shared, |map| drop(map.remove(&Id(len / 2))));
            burn_clones(len, is_partly_shared, |map| *map.entry(k(len, 0)).or_insert(v(2)) = v(3));
            burn_clones(len, is_partly_shared, |map| {
                if let Entry::Occupied(entry) = map.entry(k(len / 2, 0)) {
                    drop(entry.remove());
                }
            });
        }
    }
}
