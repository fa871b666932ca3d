//! Keys with inconsistent `Eq` and `Hash`. `HashTrieMap` may then hold any of them, but it does not
//! crash, it drops each key once, and its shape is valid except for duplicate keys.

use ctxvars::HashTrieMap;
use ctxvars::hash_trie_map::Entry;
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// The inconsistency of keys.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    AllEqual,
    NoneEqual,
    /// `Eq` returns random results.
    RandomlyEqual,
    /// `Hash` alternates between two hashes.
    FewHashes,
    /// `Hash` returns a new hash at each call.
    ManyHashes,
    /// All of these.
    Everything,
}

const LIES: [Lie; 6] = [
    Lie::AllEqual,
    Lie::NoneEqual,
    Lie::RandomlyEqual,
    Lie::FewHashes,
    Lie::ManyHashes,
    Lie::Everything,
];

const STEPS: u32 = if cfg!(miri) { 40 } else { 1500 };

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(1) };
}

/// The next number of a generator (xorshift): each thread has its own.
fn random(below: u32) -> u32 {
    let mut state = STATE.get();
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    STATE.set(state);
    (state >> 33) as u32 % below
}

/// A key that counts its live clones, by the references to `_alive`.
#[derive(Clone)]
struct Liar {
    id: u32,
    lie: Lie,
    _alive: Rc<()>,
}

impl PartialEq for Liar {
    fn eq(&self, other: &Self) -> bool {
        match self.lie {
            Lie::AllEqual => true,
            Lie::NoneEqual => false,
            Lie::RandomlyEqual | Lie::Everything => random(2) == 0,
            Lie::FewHashes | Lie::ManyHashes => self.id == other.id,
        }
    }
}

impl Eq for Liar {}

impl Hash for Liar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.lie {
            Lie::FewHashes => random(2),
            Lie::ManyHashes => random(1000),
            Lie::Everything => random(12),
            // Few hashes, so that many keys are compared.
            _ => self.id % 3,
        }
        .hash(state);
    }
}

type Map = HashTrieMap<Liar, Rc<u32>>;

/// One step on maps of inconsistent keys.
fn step(kind: u32, maps: &mut [Map; 3], key: &Liar, value: &Rc<u32>) {
    let [a, b, c] = maps;
    let (owned, value) = (key.clone(), Rc::clone(value));
    match kind {
        0..=5 => drop(a.insert(owned, value)),
        6 => drop(a.remove(key)),
        7 => drop(b.remove_entry(key)),
        8 => *b = a.clone(),
        9 => *c = a.union(b),
        10 => *c = a.intersection(b),
        11 => *c = b.difference(a),
        12 => *c = a.symmetric_difference(b),
        13 => *a = c.merge(a, b, |conflict| conflict.ours.cloned()),
        14 => *c = a.union_with(b, |_, ours, _| Rc::clone(ours)),
        15 => *c = a.intersection_with(b, |_, ours: &Rc<u32>, _| Rc::clone(ours)),
        16 => b.retain(|key, _| key.id % 4 != 0),
        17 => drop(a.entry(owned).and_modify(|old| *old = Rc::clone(&value)).or_default().clone()),
        18 => {
            if let Entry::Occupied(entry) = a.entry(owned) {
                entry.remove();
            }
        }
        19 => b.extend(
            (0..9).map(|more| (Liar { id: key.id + more, ..key.clone() }, Rc::clone(&value))),
        ),
        20 => *c = std::mem::take(c).into_iter().chain(b.clone()).take(40).collect(),
        21 => drop(a.get_mut(key).map(|old| *old = value)),
        22 => a.values_mut().for_each(|old| *old = Rc::clone(&value)),
        23 => *c = a.alter(owned, |_| None),
        24 => assert!(*a == a.clone()),
        _ => {
            let _ = (
                *a == *b,
                a.is_submap(b),
                a.diff(b).len(),
                c.get(key),
                a.filter(|_, _| true).len(),
            );
        }
    }
}

#[test]
fn inconsistent_eq_and_hash_are_memory_safe() {
    for lie in LIES {
        let (alive, value) = (Rc::new(()), Rc::new(7));
        let mut maps: [Map; 3] = Default::default();
        for _ in 0..STEPS {
            let key = Liar { id: random(50), lie, _alive: Rc::clone(&alive) };
            let kind = random(26);
            // A map may panic when it detects an inconsistency, and must be valid then.
            let done = catch_unwind(AssertUnwindSafe(|| step(kind, &mut maps, &key, &value)));
            assert!(done.is_ok(), "step {kind} panicked with {lie:?}");
            for map in &maps {
                map.check_invariants();
                assert_eq!(map.iter().count(), map.len());
            }
            if maps.iter().any(|map| map.len() > 300) {
                maps = Default::default();
            }
        }
        // The steps may end with empty maps, because hashes differ between processes.
        maps[0].insert(Liar { id: 0, lie, _alive: Rc::clone(&alive) }, Rc::clone(&value));
        assert!(Rc::strong_count(&alive) > 1, "the maps hold keys");
        drop(maps);
        assert_eq!(Rc::strong_count(&alive), 1, "every key is dropped once: {lie:?}");
        assert_eq!(Rc::strong_count(&value), 1, "every value is dropped once: {lie:?}");
    }
}

/// All keys are equal for a map that compares them.
#[derive(Clone)]
struct AllEqual(u64);

impl PartialEq for AllEqual {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for AllEqual {}

impl Hash for AllEqual {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Hashes of 64 bits whose fingerprints are often equal, while the other bits differ.
#[derive(Clone, Default)]
struct FewFingerprints(u64);

impl Hasher for FewFingerprints {
    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) & !0x00FF_0000_00FE_0000
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[test]
fn an_entry_with_another_hash_can_be_used() {
    type Map = HashTrieMap<AllEqual, u64, std::hash::BuildHasherDefault<FewFingerprints>>;
    let base: Map = (0..500).map(|it| (AllEqual(it), it)).collect();
    let mut occupied = 0;
    for number in 500..3000 {
        for shared in [false, true] {
            let mut map = base.clone();
            if !shared {
                map = base.iter().map(|(key, value)| (key.clone(), *value)).collect();
            }
            let len = map.len();
            let Entry::Occupied(mut entry) = map.entry(AllEqual(number)) else { continue };
            occupied += u32::from(shared);
            let value = *entry.get();
            assert_eq!(entry.key().0, value);
            *entry.get_mut() += 1;
            assert_eq!(*entry.get(), value + 1);
            assert_eq!(entry.remove(), value + 1);
            assert_eq!(map.len(), len - 1);
        }
    }
    assert!(occupied > 0);
}

/// Gives each two numbers one hash.
#[derive(Clone, Default)]
struct InPairs(u64);

impl Hasher for InPairs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (number / 2).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// Two references to one value would be undefined behaviour.
#[test]
fn keys_that_find_one_entry_are_refused_by_get_disjoint_mut() {
    type Map = HashTrieMap<AllEqual, u64, std::hash::BuildHasherDefault<InPairs>>;
    let base: Map = (0..500).map(|it| (AllEqual(it), it)).collect();
    for number in 0..499 {
        let mut map = base.clone();
        let found = catch_unwind(AssertUnwindSafe(|| {
            let values = map.get_disjoint_mut([&AllEqual(number), &AllEqual(number + 1)]);
            for value in values {
                *value.expect("a key with this hash is there") += 1000;
            }
        }));
        assert_eq!(found.is_err(), number % 2 == 0);
        let changed = if found.is_ok() { 2 } else { 0 };
        assert_eq!(map.values().filter(|&&value| value >= 1000).count(), changed);
        assert!(base.values().all(|&value| value < 1000));
    }
}
