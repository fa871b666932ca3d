//! Keys and values of a `HashTrieMap` are dropped exactly once, with partly consumed iterators and
//! with shared nodes.

use crate::support::actions::{Bits, Call, Id, Key, Value, k, light, live, put_out, v};
use ctxvars::HashTrieMap;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

type Map<const KEPT: u32> = HashTrieMap<Key, Value, Bits<KEPT>>;

/// Sizes: empty, a leaf, the largest root leaf, the smallest tree, deeper trees.
const SIZES: &[u16] = if cfg!(miri) { &[0, 5, 17] } else { &[0, 1, 5, 16, 17, 40, 200, 700] };

fn map_of<const KEPT: u32>(count: u16) -> Map<KEPT> {
    (0..count).map(|id| (k(id, 0), v(1))).collect()
}

/// The nodes of a map that another map shares.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sharing {
    Unshared,
    /// All nodes.
    Clone,
    /// All nodes except one path.
    Edited,
    /// All but one path, on which a key is missing.
    Removed,
}

const SHARINGS: [Sharing; 4] =
    [Sharing::Unshared, Sharing::Clone, Sharing::Edited, Sharing::Removed];

impl Sharing {
    fn of<const KEPT: u32>(self, map: &Map<KEPT>) -> Option<Map<KEPT>> {
        match self {
            Self::Unshared => None,
            Self::Clone => Some(map.clone()),
            Self::Edited => Some(map.update(k(3, 0), v(1))),
            Self::Removed => Some(map.without(&Id(3))),
        }
    }
}

/// Runs a check with maps of every size, shared in every way, hashed in two ways.
fn with_every_map(check: impl Fn(&mut dyn AnyMap, u16, Sharing)) {
    fn with<const KEPT: u32>(check: &impl Fn(&mut dyn AnyMap, u16, Sharing)) {
        for &count in SIZES {
            for sharing in SHARINGS {
                let mut map = map_of::<KEPT>(count);
                let other = sharing.of(&map);
                let copy = other.as_ref().map(|other| other.iter().count());
                check(&mut map, count, sharing);
                if let Some(other) = other {
                    other.check_invariants();
                    assert_eq!(Some(other.iter().count()), copy);
                    assert!(other.values().all(|value| value.get() == 1), "its values are its own");
                }
                drop(map);
                assert_eq!(live(), 0, "{count} entries shared by {sharing:?}");
            }
        }
    }
    with::<64>(&check);
    with::<1>(&check);
}

/// An operation on maps.
trait AnyMap {
    /// Consumes the map in part, and then drops the iterator.
    fn take_apart(&mut self, count: usize) -> Vec<(Key, Value)>;
    /// Changes some values, and then drops the iterator.
    fn change(&mut self, count: usize) -> usize;
    /// Keeps values that are not 1.
    fn changed(&self) -> usize;
    fn check(&self, len: u16);
}

impl<const KEPT: u32> AnyMap for Map<KEPT> {
    fn take_apart(&mut self, count: usize) -> Vec<(Key, Value)> {
        let mut entries = std::mem::take(self).into_iter();
        let all = entries.len();
        let taken: Vec<_> = entries.by_ref().take(count).collect();
        assert_eq!(entries.size_hint(), (all - taken.len(), Some(all - taken.len())));
        if taken.len() == all {
            assert!(entries.next().is_none() && entries.next().is_none(), "it stays at its end");
        }
        taken
    }

    fn change(&mut self, count: usize) -> usize {
        let mut values = self.iter_mut();
        let all = values.len();
        let changed = values.by_ref().take(count).map(|(_, value)| value.set(2)).count();
        assert_eq!(values.len(), all - changed);
        changed
    }

    fn changed(&self) -> usize {
        self.values().filter(|value| value.get() != 1).count()
    }

    fn check(&self, len: u16) {
        self.check_invariants();
        assert_eq!(self.len(), usize::from(len));
    }
}

/// The number of positions to stop at.
const STOPS: usize = if cfg!(miri) { 3 } else { 8 };

/// The positions to stop at in a map of this size.
fn stops(count: u16) -> BTreeSet<usize> {
    let count = usize::from(count);
    if cfg!(miri) {
        return [0, 3, count].into();
    }
    [0, 1, 2, 7, count / 2, count.saturating_sub(1), count, count + 1].into()
}

#[test]
fn a_partly_consumed_into_iter_drops_the_rest() {
    for stop in 0..STOPS {
        with_every_map(|map, count, _| {
            let Some(&stop) = stops(count).iter().nth(stop) else { return };
            let taken = map.take_apart(stop);
            assert_eq!(taken.len(), stop.min(count.into()));
            let ids: BTreeSet<u16> = taken.iter().map(|(key, _)| key.id()).collect();
            assert_eq!(ids.len(), taken.len(), "no entry comes twice");
            assert!(ids.iter().all(|&id| id < count) && taken.iter().all(|it| it.1.get() == 1));
        });
    }
}

#[test]
fn iter_mut_changes_the_values_it_yielded() {
    for stop in 0..STOPS {
        with_every_map(|map, count, _| {
            let Some(&stop) = stops(count).iter().nth(stop) else { return };
            assert_eq!(map.change(stop), stop.min(count.into()));
            assert_eq!(map.changed(), stop.min(count.into()));
            map.check(count);
        });
    }
}

/// Entries of unshared maps are moved out, not cloned.
#[test]
fn into_iter_of_an_unshared_map_clones_nothing() {
    for &count in SIZES {
        let map = map_of::<64>(count);
        light(Call::Clone, 0);
        let taken: Vec<_> = map.into_iter().collect();
        assert!(put_out(), "nothing has been cloned");
        assert_eq!(taken.len(), usize::from(count));
    }
    assert_eq!(live(), 0);
}

/// A panic of `clone` in `into_iter` loses no entry.
#[test]
fn into_iter_continues_after_a_clone_panicked() {
    for &count in SIZES {
        let map = map_of::<64>(count);
        let mut entries = map.clone().into_iter();
        let mut ids = BTreeSet::new();
        loop {
            light(Call::Clone, 0);
            let panicked = catch_unwind(AssertUnwindSafe(|| entries.next())).is_err();
            put_out();
            assert_eq!(panicked, usize::from(count) > ids.len());
            let Some((key, _)) = entries.next() else { break };
            assert!(ids.insert(key.id()));
        }
        assert_eq!(ids.len(), usize::from(count));
        assert_eq!(map.len(), ids.len());
    }
    assert_eq!(live(), 0);
}

/// If one `drop` panics, the other entries of its leaf are still dropped, and none twice.
#[test]
fn nothing_is_dropped_twice_when_a_drop_panics() {
    for &count in SIZES {
        for calls in 0..usize::from(2 * count).min(40) {
            let outside = live();
            let maps = (map_of::<64>(count), map_of::<64>(count));
            light(Call::Drop, calls);
            let done = catch_unwind(AssertUnwindSafe(|| drop(maps.0)));
            assert!(done.is_err() && !put_out());
            light(Call::Drop, calls);
            let done = catch_unwind(AssertUnwindSafe(|| maps.1.into_iter().nth(3).is_some()));
            assert!(done.is_err() && !put_out());
            assert!(live() >= outside, "nothing is dropped twice");
        }
    }
}

/// Values with references and interior mutability.
#[test]
fn values_may_hold_borrows_cells_and_maps() {
    let names: Vec<String> = (0..60).map(|n| n.to_string()).collect();
    let counts: Vec<Cell<u32>> = (0..60).map(Cell::new).collect();
    let mut map: HashTrieMap<&str, &Cell<u32>> = HashTrieMap::new();
    for (name, count) in names.iter().zip(&counts) {
        map.insert(name, count);
    }
    let before = map.clone();
    map.iter_mut().for_each(|(_, value)| value.set(value.get() + 1));
    assert!(before.values().zip(map.values()).all(|(a, b)| std::ptr::eq(*a, *b)));
    assert_eq!(counts.iter().map(Cell::get).sum::<u32>(), 59 * 30 + 60);

    // A value with a reference to a map that holds its clone.
    type Nest = HashTrieMap<u32, Option<Rc<RefCell<Box<dyn std::any::Any>>>>>;
    let inner = Rc::new(RefCell::new(Box::new(0) as Box<dyn std::any::Any>));
    let mut nest: Nest = (0..40).map(|n| (n, Some(Rc::clone(&inner)))).collect();
    *inner.borrow_mut() = Box::new(nest.clone());
    assert_eq!(Rc::strong_count(&inner), 41);
    nest.insert(3, None);
    *inner.borrow_mut() = Box::new(0);
    assert!(Rc::strong_count(&inner) > 1 && Rc::strong_count(&inner) <= 40);
    drop(nest);
    assert_eq!(Rc::strong_count(&inner), 1);
}

/// A value whose `drop` drops the last clone of the map that it is in.
#[test]
fn a_clone_may_be_dropped_by_a_value_of_the_map() {
    #[derive(Clone)]
    struct Dropper(Rc<RefCell<Option<HashTrieMap<u32, Dropper>>>>);
    impl Drop for Dropper {
        fn drop(&mut self) {
            let taken = self.0.try_borrow_mut().ok().and_then(|mut other| other.take());
            drop(taken);
        }
    }
    let other = Rc::new(RefCell::new(None));
    for removed in (0..40).step_by(if cfg!(miri) { 19 } else { 1 }) {
        let mut map: HashTrieMap<u32, Dropper> =
            (0..40).map(|n| (n, Dropper(Rc::clone(&other)))).collect();
        *other.borrow_mut() = Some(map.clone());
        map.remove(&removed);
        assert!(other.borrow().is_none(), "the clone is gone");
        map.check_invariants();
        *other.borrow_mut() = Some(map.clone());
        map.retain(|key, _| key % 2 == 0);
        map.check_invariants();
        map.values_mut().for_each(|_| {});
        assert_eq!(map.len() as u32, 20 - (removed + 1) % 2);
        drop(map);
        assert_eq!(Rc::strong_count(&other), 1);
    }
}

/// The number of keys in a set.
const SET: u32 = if cfg!(miri) { 48 } else { 300 };

/// Keys and values of zero size.
#[test]
fn entries_may_be_zero_sized() {
    let mut unit: HashTrieMap<(), ()> = HashTrieMap::new();
    assert_eq!((unit.insert((), ()), unit.insert((), ())), (None, Some(())));
    let copy = unit.clone();
    unit.check_invariants();
    assert_eq!((unit.iter_mut().count(), unit == copy), (1, true));
    assert_eq!(unit.remove(&()), Some(()));
    assert_eq!((unit.len(), copy.into_iter().count()), (0, 1));

    let mut set: HashTrieMap<u32, ()> = (0..SET).map(|n| (n, ())).collect();
    let even = set.filter(|n, ()| n % 2 == 0);
    set.retain(|n, ()| n % 3 == 0);
    let both = set.intersection(&even);
    both.check_invariants();
    assert_eq!(both.into_iter().map(|(n, ())| n).collect::<BTreeSet<_>>().len(), SET as usize / 6);
    assert!(set.union(&even).iter_mut().count() == SET as usize * 2 / 3);
}

/// Alignments larger than the alignment of a node.
#[test]
fn entries_may_be_over_aligned() {
    #[derive(Clone, Copy, PartialEq, Debug)]
    #[repr(align(64))]
    struct Line(u8);
    let mut map: HashTrieMap<u8, Line> = (0..100).map(|n| (n, Line(n))).collect();
    let copy = map.clone();
    for (key, value) in &mut map {
        assert_eq!(std::ptr::from_ref(value).addr() % 64, 0);
        value.0 = key.wrapping_add(1);
    }
    assert!(copy.iter().all(|(key, value)| value.0 == *key));
    assert!(map.into_iter().all(|(key, value)| value.0 == key + 1));
}
