//! Whole maps against `std::collections::BTreeMap`: building, combining, comparing, walking over.

use crate::support::heaps::{
    Checked, Fallible, Raised, Sought, TestHeap, Whole, live_nodes, raise_after, raise_never,
    user_code,
};
use crate::support::shapes::{BITS, Binary, COPY, MANY, Nibbles, OddBits, cases, hash, id};
use ctxvars::map::{
    Compare, Conflict, Diff, EntryOf, Hash, HashOf, HashedEntry, Location, PointerShape, Trie,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// Runs a check, generic over the heap, on every heap with every shape; nothing may leak.
macro_rules! on_every_heap {
    ($check:ident($($argument:expr),*)) => {{
        $check::<Fallible<PointerShape>>($($argument),*);
        $check::<Fallible<Binary>>($($argument),*);
        $check::<Fallible<OddBits>>($($argument),*);
        $check::<Checked<PointerShape>>($($argument),*);
        $check::<Checked<Binary>>($($argument),*);
        $check::<Checked<OddBits>>($($argument),*);
        $check::<Whole<PointerShape>>($($argument),*);
        $check::<Whole<Nibbles>>($($argument),*);
        assert_eq!(live_nodes(), 0, "every node has been freed");
    }};
}

/// Compares keys and values, and counts how often.
#[derive(Default)]
struct Judge {
    calls: usize,
}

impl<H: TestHeap> Compare<H> for Judge {
    fn same(&mut self, a: &u32, b: &u32) -> Result<bool, Raised> {
        self.calls += 1;
        same(a, b)
    }

    fn equal(&mut self, a: &Rc<u32>, b: &Rc<u32>) -> Result<bool, Raised> {
        self.calls += 1;
        user_code()?;
        Ok(a == b)
    }
}

fn same(a: &u32, b: &u32) -> Result<bool, Raised> {
    user_code()?;
    Ok(id(*a) == id(*b))
}

/// What nothing raises.
fn certain<T>(result: Result<T, Raised>) -> T {
    result.expect("nothing raises")
}

/// The numbers below this are the values: few, so that maps often agree.
const VALUES: u32 = 6;

/// Keys that are tried one by one, each with many operations.
const TRIED: u32 = if cfg!(miri) { 1 } else { 12 };

/// All values, each in one place, so that maps with the same value have the identical one.
struct Pool(Vec<Rc<u32>>);

impl Pool {
    fn new() -> Self {
        Self((0..VALUES).map(Rc::new).collect())
    }

    fn get(&self, value: u32) -> Rc<u32> {
        Rc::clone(&self.0[value as usize])
    }

    /// References to all values together.
    fn references(&self) -> usize {
        self.0.iter().map(Rc::strong_count).sum()
    }

    fn assert_nothing_leaked(&self) {
        assert_eq!(self.references(), self.0.len(), "every value has been dropped once");
    }
}

/// By the id of a key: the key and the value.
type Model = BTreeMap<u32, (u32, u32)>;

/// What is in `map`, whose shape is checked.
fn model<H: TestHeap>(map: &Trie<H>) -> Model {
    map.check_invariants();
    let found: Model =
        map.iter().map(|(_, entry)| (id(entry.key), (entry.key, *entry.value))).collect();
    assert_eq!(found.len(), map.len(), "no key is there twice");
    assert_eq!(found.is_empty(), map.is_empty());
    found
}

/// Sets the value of a key, or removes it.
type Edit = (u32, Option<u32>);

fn edit(keys: u32) -> impl Strategy<Value = Edit> {
    (0..keys, prop::option::weighted(0.7, 0..VALUES))
}

fn edits(keys: u32) -> impl Strategy<Value = Vec<Edit>> {
    prop_oneof![prop::collection::vec(edit(keys), 0..4), prop::collection::vec(edit(keys), 0..MANY),]
}

/// How two maps came from their base.
#[derive(Clone, Copy, Debug)]
enum Relation {
    /// By edits of clones.
    Shared,
    /// As shared, and then rebuilt, so that they have no node in common.
    Apart,
    /// Not at all: by edits of nothing.
    Unrelated,
}

/// Three maps in the making.
#[derive(Clone, Debug)]
struct Plan {
    base: Vec<Edit>,
    ours: Vec<Edit>,
    theirs: Vec<Edit>,
    relation: Relation,
    bits: u32,
}

fn plan(keys: u32) -> impl Strategy<Value = Plan> {
    let relation = prop_oneof![
        2 => Just(Relation::Shared),
        1 => Just(Relation::Apart),
        1 => Just(Relation::Unrelated),
    ];
    let base = prop::collection::vec(edit(keys), 0..MANY);
    let bits = prop::sample::select(&BITS[..]);
    (base, edits(keys), edits(keys), relation, bits).prop_map(
        |(base, ours, theirs, relation, bits)| Plan { base, ours, theirs, relation, bits },
    )
}

impl Plan {
    /// The base, ours and theirs; the keys that each of them has put in are copies of its own.
    fn maps<H: TestHeap>(&self, pool: &Pool) -> [Trie<H>; 3] {
        let mut base = Trie::new();
        apply(&mut base, &self.base, 0, self.bits, pool);
        let other = |edits: &[Edit], copy: u32| {
            let mut map = match self.relation {
                Relation::Shared | Relation::Apart => base.clone(),
                Relation::Unrelated => Trie::new(),
            };
            apply(&mut map, edits, copy, self.bits, pool);
            if matches!(self.relation, Relation::Apart) { rebuilt(&map) } else { map }
        };
        let (ours, theirs) = (other(&self.ours, 1), other(&self.theirs, 2));
        [base, ours, theirs]
    }
}

fn apply<H: TestHeap>(map: &mut Trie<H>, edits: &[Edit], copy: u32, bits: u32, pool: &Pool) {
    for &(key, value) in edits {
        let (key, hash) = (key + copy * COPY, hash(key, bits));
        match value {
            Some(value) => drop(certain(map.insert(hash, key, pool.get(value), same))),
            None => drop(certain(map.remove(hash, Sought(key)))),
        }
    }
}

/// A map with the same entries, made from the last to the first.
fn rebuilt<H: TestHeap>(map: &Trie<H>) -> Trie<H> {
    let mut entries: Vec<HashedEntry<H>> =
        map.iter().map(|(hash, entry)| (hash, entry.clone())).collect();
    entries.reverse();
    certain(Trie::build(entries, same))
}

/// Whether the heap can tell that two values are one.
fn knows_identity<H: TestHeap>() -> bool {
    let value = Rc::new(0);
    H::is_identical(&value, &Rc::clone(&value))
}

mod build {
    use super::*;

    fn entries<H: TestHeap>(pairs: &[(u32, u32)], bits: u32, pool: &Pool) -> Vec<HashedEntry<H>> {
        let entry = |(index, &(key, value)): (usize, &(u32, u32))| {
            let copy = (index % 100) as u32;
            let entry = EntryOf::<H> { key: key + copy * COPY, value: pool.get(value) };
            (hash(key, bits), entry)
        };
        pairs.iter().enumerate().map(entry).collect()
    }

    fn check<H: TestHeap>(pairs: &[(u32, u32)], bits: u32) {
        let pool = Pool::new();
        let built: Trie<H> = certain(Trie::build(entries::<H>(pairs, bits, &pool), same));
        let mut edited: Trie<H> = Trie::new();
        for (hash, entry) in entries::<H>(pairs, bits, &pool) {
            certain(edited.insert(hash, entry.key, entry.value, same));
        }
        assert_eq!(model(&built), model(&edited));
        assert_eq!(built.equal(&edited, &mut Judge::default()), Ok(true));
        // An edit may leave the mark of a value that it has replaced.
        assert!(edited.is_traced() || !built.is_traced());
        // Sorted already, and then not.
        let sorted = built.iter().map(|(hash, entry)| (hash, entry.clone())).collect();
        let again: Trie<H> = certain(Trie::build(sorted, same));
        assert_eq!(model(&again), model(&built));
        assert_eq!(model(&rebuilt(&built)), model(&built));
        drop((built, edited, again));
        pool.assert_nothing_leaked();
    }

    fn check_raising<H: TestHeap>(pairs: &[(u32, u32)], bits: u32) {
        let pool = Pool::new();
        for calls in 0.. {
            let entries = entries::<H>(pairs, bits, &pool);
            raise_after(calls);
            let built = Trie::<H>::build(entries, same);
            raise_never();
            let is_built = built.is_ok();
            drop(built);
            pool.assert_nothing_leaked();
            if is_built {
                break;
            }
        }
    }

    proptest! {
        #![proptest_config(cases(96))]

        #[test]
        fn is_inserting_one_by_one(
            pairs in prop::collection::vec((0..60_u32, 0..VALUES), 0..2 * MANY),
            bits in prop::sample::select(&BITS[..]),
        ) {
            on_every_heap!(check(&pairs, bits));
        }

        #[test]
        #[cfg_attr(miri, ignore)]
        fn of_many_keys_is_inserting_one_by_one(
            pairs in prop::collection::vec((0..3000_u32, 0..VALUES), 0..2000),
        ) {
            check::<Fallible<PointerShape>>(&pairs, 32);
            check::<Checked<OddBits>>(&pairs, 32);
        }

        #[test]
        fn fails_with_the_first_error_and_leaks_nothing(
            pairs in prop::collection::vec((0..20_u32, 0..VALUES), 0..MANY),
            bits in prop::sample::select(&BITS[..]),
        ) {
            on_every_heap!(check_raising(&pairs, bits));
        }
    }

    #[test]
    fn of_nothing_is_the_empty_map() {
        let map = certain(Trie::<Checked<PointerShape>>::build(Vec::new(), same));
        assert!(map.is_empty() && map.root().is_none());
    }
}

mod select {
    use super::*;

    fn check<H: TestHeap>(plan: &Plan) {
        let pool = Pool::new();
        let [_, a, b] = plan.maps::<H>(&pool);
        let (model_a, model_b) = (model(&a), model(&b));
        let judge = &mut Judge::default();

        let mut first_wins = model_b.clone();
        first_wins.extend(model_a.clone());
        let union = certain(a.union(&b, judge));
        assert_eq!(model(&union), first_wins);
        assert!(first_wins != model_a || union.ptr_eq(&a), "nothing is added");

        let mut either = model_b.clone();
        for (id, &(key, value)) in &model_a {
            let value = model_b.get(id).map_or(value, |&(_, value)| value);
            either.insert(*id, (key, value));
        }
        let updated = certain(a.updated(&b, judge));
        assert_eq!(model(&updated), either);
        if knows_identity::<H>() && either == model_a {
            assert!(updated.ptr_eq(&a), "an update that changes nothing returns the same map");
        }
        let mut entries: Vec<HashedEntry<H>> =
            b.iter().map(|(hash, entry)| (hash, entry.clone())).collect();
        assert_eq!(model(&certain(a.extended(&entries, judge))), either);
        // A value that another one follows does not count.
        entries.extend(entries.first().cloned());
        if let Some((_, entry)) = entries.first_mut() {
            entry.value = pool.get((*entry.value + 1) % VALUES);
        }
        assert_eq!(model(&certain(a.extended(&entries, judge))), either);
        drop(entries);

        let mut both = model_a.clone();
        both.retain(|id, _| model_b.contains_key(id));
        let intersection = certain(a.intersection(&b, judge));
        assert_eq!(model(&intersection), both);
        assert!(both != model_a || intersection.ptr_eq(&a), "nothing is left out");

        let mut first = model_a.clone();
        first.retain(|id, _| !model_b.contains_key(id));
        let difference = certain(a.difference(&b, judge));
        assert_eq!(model(&difference), first);
        assert!(first != model_a || difference.ptr_eq(&a), "nothing is left out");

        assert_eq!((model(&a), model(&b)), (model_a, model_b), "the arguments are as before");
        drop((a, b, union, updated, intersection, difference));
        pool.assert_nothing_leaked();
    }

    fn check_shared<H: TestHeap>(plan: &Plan) {
        let pool = Pool::new();
        let [map, ..] = plan.maps::<H>(&pool);
        let empty = Trie::new();
        let judge = &mut Judge::default();
        assert!(certain(map.union(&empty, judge)).ptr_eq(&map));
        assert!(certain(empty.union(&map, judge)).ptr_eq(&map));
        assert!(certain(map.union(&map, judge)).ptr_eq(&map));
        assert!(certain(map.updated(&empty, judge)).ptr_eq(&map));
        assert!(certain(empty.updated(&map, judge)).ptr_eq(&map));
        assert!(certain(map.updated(&map, judge)).ptr_eq(&map));
        assert!(certain(map.intersection(&map, judge)).ptr_eq(&map));
        assert!(certain(map.intersection(&empty, judge)).is_empty());
        assert!(certain(empty.intersection(&map, judge)).is_empty());
        assert!(certain(map.difference(&empty, judge)).ptr_eq(&map));
        assert!(certain(map.difference(&map, judge)).is_empty());
        assert!(certain(empty.difference(&map, judge)).is_empty());
        assert!(certain(map.merge(&map, &map, judge, |_| Ok(None))).ptr_eq(&map));
        assert_eq!(judge.calls, 0, "none of these looks at an entry");
    }

    proptest! {
        #![proptest_config(cases(128))]

        #[test]
        fn agrees_with_sets_of_keys(plan in plan(48)) {
            on_every_heap!(check(&plan));
        }

        #[test]
        fn shares_what_it_need_not_look_into(plan in plan(48)) {
            on_every_heap!(check_shared(&plan));
        }
    }
}

mod map_entries {
    use super::*;

    fn check<H: TestHeap>(plan: &Plan) {
        let pool = Pool::new();
        let [map, ..] = plan.maps::<H>(&pool);
        let before = model(&map);
        let order: Vec<u32> = map.iter().map(|(_, entry)| entry.key).collect();

        let identical = certain(map.map_entries(|entry| Ok(Some(Rc::clone(&entry.value)))));
        assert_eq!(model(&identical), before);
        assert_eq!(identical.ptr_eq(&map), map.is_empty() || knows_identity::<H>());

        let mut seen = Vec::new();
        let changed = certain(map.map_entries(|entry| {
            seen.push(entry.key);
            let value = pool.get((*entry.value + 1) % VALUES);
            Ok((id(entry.key) % 3 != 0).then_some(value))
        }));
        assert_eq!(seen, order, "each entry is seen once, in order");
        let mut expected = before.clone();
        expected.retain(|id, _| id % 3 != 0);
        expected.values_mut().for_each(|(_, value)| *value = (*value + 1) % VALUES);
        assert_eq!(model(&changed), expected);

        // Only a few entries change: those of equal keys, and of values to drop.
        let filtered = certain(
            map.map_entries(|entry| Ok((*entry.value != 0).then(|| Rc::clone(&entry.value)))),
        );
        let mut expected = before.clone();
        expected.retain(|_, (_, value)| *value != 0);
        assert_eq!(model(&filtered), expected);

        assert!(certain(map.map_entries(|_| Ok(None))).is_empty());
        assert_eq!(model(&map), before);
        drop((map, identical, changed, filtered));
        pool.assert_nothing_leaked();
    }

    proptest! {
        #![proptest_config(cases(96))]

        #[test]
        fn keeps_drops_and_replaces(plan in plan(48)) {
            on_every_heap!(check(&plan));
        }
    }
}

mod diff {
    use super::*;

    fn check<H: TestHeap>(plan: &Plan) {
        let pool = Pool::new();
        let [_, a, b] = plan.maps::<H>(&pool);
        let (model_a, model_b) = (model(&a), model(&b));
        let mut pairs = Vec::new();
        let Diff { added, removed, changed } =
            certain(a.diff(&b, &mut Judge::default(), |old, new| {
                pairs.push((**old, **new));
                Ok(Rc::clone(new))
            }));

        let mut expected = [model_b.clone(), model_a.clone(), Model::new()];
        expected[0].retain(|id, _| !model_a.contains_key(id));
        expected[1].retain(|id, _| !model_b.contains_key(id));
        let mut expected_pairs = Vec::new();
        for (&id, &(key, old)) in &model_a {
            if let Some(&(_, new)) = model_b.get(&id).filter(|&&(_, new)| old != new) {
                expected[2].insert(id, (key, new));
                expected_pairs.push((old, new));
            }
        }
        assert_eq!([&added, &removed, &changed].map(model), expected);
        pairs.sort_unstable();
        expected_pairs.sort_unstable();
        assert_eq!(pairs, expected_pairs, "each change is made once");

        let mut patched = a.clone();
        for (hash, entry) in &removed {
            let gone = patched.remove(hash, |stored: &u32| same(&entry.key, stored));
            assert!(certain(gone).is_some());
        }
        for (hash, entry) in added.iter().chain(&changed) {
            certain(patched.insert(hash, entry.key, Rc::clone(&entry.value), same));
        }
        patched.check_invariants();
        assert_eq!(patched.equal(&b, &mut Judge::default()), Ok(true));
        let is_same = added.is_empty() && removed.is_empty() && changed.is_empty();
        assert_eq!(a.equal(&b, &mut Judge::default()), Ok(is_same));

        let judge = &mut Judge::default();
        let nothing = certain(a.diff(&a, judge, |_, _| Err(Raised)));
        assert!(nothing.added.is_empty() && nothing.removed.is_empty());
        assert!(nothing.changed.is_empty());
        assert_eq!(judge.calls, 0, "a map differs from itself without a look");

        assert_eq!((model(&a), model(&b)), (model_a, model_b), "the arguments are as before");
        drop((a, b, added, removed, changed, patched));
        pool.assert_nothing_leaked();
    }

    proptest! {
        #![proptest_config(cases(128))]

        #[test]
        fn leads_from_one_map_to_the_other(plan in plan(48)) {
            on_every_heap!(check(&plan));
        }
    }
}

mod merge {
    use super::*;

    type Values = [Option<u32>; 3];

    fn values<H: TestHeap>(conflict: Conflict<'_, H>) -> Values {
        conflict.map(|entry| entry.map(|entry| *entry.value))
    }

    /// Some conflicts end with the key left out.
    fn resolution(values: Values) -> Option<u32> {
        let sum: u32 = values.into_iter().flatten().sum();
        (sum % 3 != 0).then_some(sum % VALUES)
    }

    fn check<H: TestHeap>(plan: &Plan) {
        let pool = Pool::new();
        let maps = plan.maps::<H>(&pool);
        let models = maps.each_ref().map(model);
        let [base, ours, theirs] = &maps;

        let mut conflicts = Vec::new();
        let merged = certain(base.merge(ours, theirs, &mut Judge::default(), |conflict| {
            let present = conflict.into_iter().flatten().map(|entry| id(entry.key));
            let ids: BTreeSet<u32> = present.collect();
            assert_eq!(ids.len(), 1, "a conflict is about one key");
            conflicts.push((ids.into_iter().sum(), values::<H>(conflict)));
            Ok(resolution(values::<H>(conflict)).map(|value| pool.get(value)))
        }));

        let mut expected = BTreeMap::new();
        let mut expected_conflicts = Vec::new();
        for key in 0..COPY {
            if models.iter().all(|model| model.range(key..).next().is_none()) {
                break;
            }
            let values = models.each_ref().map(|model| model.get(&key).map(|&(_, value)| value));
            let [base, ours, theirs] = values;
            let value = if ours == theirs || base == theirs {
                ours
            } else if base == ours {
                theirs
            } else {
                expected_conflicts.push((key, values));
                resolution(values)
            };
            expected.extend(value.map(|value| (key, value)));
        }
        conflicts.sort_unstable();
        assert_eq!(conflicts, expected_conflicts, "just the conflicts are put to resolve");
        let found = model(&merged);
        let found_values: BTreeMap<u32, u32> =
            found.iter().map(|(&id, &(_, value))| (id, value)).collect();
        assert_eq!(found_values, expected);
        for (id, (key, _)) in &found {
            let is_known = models.iter().any(|model| model.get(id).is_some_and(|it| it.0 == *key));
            assert!(is_known, "a key comes from one of the maps");
        }

        // What one side alone has done is the result.
        let never = |_: Conflict<'_, H>| -> Result<Option<Rc<u32>>, Raised> {
            unreachable!("there is no conflict")
        };
        let judge = &mut Judge::default();
        for map in &maps {
            assert!(certain(base.merge(map, base, judge, never)).ptr_eq(map));
            assert!(certain(base.merge(base, map, judge, never)).ptr_eq(map));
            assert!(certain(base.merge(map, map, judge, never)).ptr_eq(map));
        }
        assert_eq!(judge.calls, 0, "shared maps are not looked into");
        let apart = rebuilt(base);
        for map in &maps {
            let (first, second) =
                (base.merge(map, &apart, judge, never), base.merge(&apart, map, judge, never));
            for merged in [certain(first), certain(second)] {
                assert_eq!(merged.equal(map, judge), Ok(true));
            }
        }
        if matches!(plan.relation, Relation::Apart) {
            assert!(certain(base.merge(ours, &apart, judge, never)).ptr_eq(ours));
        }

        assert_eq!(maps.each_ref().map(model), models, "the arguments are as before");
        drop((maps, merged, apart));
        pool.assert_nothing_leaked();
    }

    proptest! {
        #![proptest_config(cases(128))]

        #[test]
        fn agrees_with_a_merge_key_by_key(plan in plan(48)) {
            on_every_heap!(check(&plan));
        }
    }
}

mod errors {
    use super::*;

    /// Lets `operation` fail at each of its calls of user code, or of the allocator, in turn.
    fn fail_everywhere<T>(pool: &Pool, mut operation: impl FnMut() -> Result<T, Raised>) {
        for calls in 0.. {
            let before = (pool.references(), live_nodes());
            raise_after(calls);
            let result = operation();
            raise_never();
            let is_done = result.is_ok();
            drop(result);
            assert_eq!((pool.references(), live_nodes()), before, "nothing leaked");
            if is_done {
                return;
            }
        }
    }

    fn check<H: TestHeap>(plan: &Plan) {
        let pool = Pool::new();
        let maps = plan.maps::<H>(&pool);
        let models = maps.each_ref().map(model);
        let [base, ours, theirs] = &maps;
        let judge = || Judge::default();
        fail_everywhere(&pool, || ours.updated(theirs, &mut judge()));
        let entries: Vec<HashedEntry<H>> =
            theirs.iter().map(|(hash, entry)| (hash, entry.clone())).collect();
        fail_everywhere(&pool, || ours.extended(&entries, &mut judge()));
        fail_everywhere(&pool, || ours.intersection(theirs, &mut judge()));
        fail_everywhere(&pool, || ours.difference(theirs, &mut judge()));
        fail_everywhere(&pool, || ours.equal(theirs, &mut judge()));
        fail_everywhere(&pool, || {
            ours.diff(theirs, &mut judge(), |_, new| user_code().map(|()| Rc::clone(new)))
        });
        fail_everywhere(&pool, || {
            base.merge(ours, theirs, &mut judge(), |_| user_code().map(|()| Some(pool.get(1))))
        });
        fail_everywhere(&pool, || {
            ours.map_entries(|entry| {
                user_code()?;
                Ok((*entry.value != 0).then(|| pool.get(1)))
            })
        });
        fail_everywhere(&pool, || ours.digest(|entry| user_code().map(|()| u64::from(entry.key))));
        for key in 0..TRIED {
            let hash = hash(key, plan.bits);
            fail_everywhere(&pool, || {
                let mut edited = ours.clone();
                let done = edited.insert(hash, key, pool.get(1), same);
                edited.check_invariants();
                assert!(done.is_ok() || model(&edited) == models[1]);
                done
            });
            fail_everywhere(&pool, || {
                let mut edited = ours.clone();
                let done = edited.remove(hash, |stored: &u32| same(&key, stored));
                edited.check_invariants();
                assert!(done.is_ok() || model(&edited) == models[1]);
                done
            });
        }
        assert_eq!(maps.each_ref().map(model), models, "the arguments are as before");
        drop((maps, entries));
        pool.assert_nothing_leaked();
    }

    proptest! {
        #![proptest_config(cases(32))]

        #[test]
        fn leave_everything_as_it_was(plan in plan(24)) {
            on_every_heap!(check(&plan));
        }
    }
}

mod panics {
    use super::*;

    /// A panic of user code, in the middle of an operation that only reads its maps.
    fn check<H: TestHeap>(plan: &Plan, calls: usize) {
        let pool = Pool::new();
        let maps = plan.maps::<H>(&pool);
        let models = maps.each_ref().map(model);
        let [base, ours, theirs] = &maps;
        let mut left = calls;
        let mut fuse = move || {
            assert!(left > 0, "fuse");
            left -= 1;
        };
        let merged = catch_unwind(AssertUnwindSafe(|| {
            base.merge(ours, theirs, &mut Judge::default(), |_| {
                fuse();
                Ok(Some(pool.get(1)))
            })
        }));
        let mapped = catch_unwind(AssertUnwindSafe(|| {
            ours.map_entries(|_| {
                fuse();
                Ok(Some(pool.get(1)))
            })
        }));
        let diff = catch_unwind(AssertUnwindSafe(|| {
            ours.diff(theirs, &mut Judge::default(), |_, _| {
                fuse();
                Ok(pool.get(1))
            })
        }));
        drop((merged, mapped, diff));
        assert_eq!(maps.each_ref().map(model), models, "the arguments are as before");
        drop(maps);
        pool.assert_nothing_leaked();
    }

    proptest! {
        #![proptest_config(cases(24))]

        #[test]
        fn leak_nothing(plan in plan(24), calls in 0..30_usize) {
            on_every_heap!(check(&plan, calls));
        }
    }
}

mod walk {
    use super::*;

    fn check<H: TestHeap>(plan: &Plan) {
        let pool = Pool::new();
        let [map, ..] = plan.maps::<H>(&pool);
        let entries = model(&map);
        let mut iter = map.iter();
        let mut seen: Vec<(HashOf<H>, u32)> = Vec::new();
        for left in (0..map.len()).rev() {
            let (hash, entry) = iter.next().expect("as many entries as there are");
            assert_eq!(iter.len(), left);
            seen.push((hash, entry.key));
        }
        for _ in 0..3 {
            assert!(iter.next().is_none(), "the end is the end");
            assert_eq!(iter.len(), 0);
        }
        assert!(seen.is_sorted_by_key(|(hash, _)| *hash), "in the order of the hashes");
        for &(stored, key) in &seen {
            assert_eq!(stored, hash(key, plan.bits), "with the hash of the key");
        }

        // A cursor sees what was there when it was made, and keeps it alive.
        let (mut edited, mut cursors) = (map.clone(), Vec::new());
        for key in 0..8 {
            cursors.push((edited.cursor(), model(&edited)));
            apply(&mut edited, &[(key, Some(1)), (key + 8, None)], 1, plan.bits, &pool);
        }
        let edited_entries = model(&edited);
        cursors.push((edited.into_cursor(), edited_entries));
        cursors.push((map.into_cursor(), entries));
        // A step of each in turn.
        let mut found = vec![Model::new(); cursors.len()];
        let mut is_over = false;
        while !is_over {
            is_over = true;
            for ((cursor, _), found) in cursors.iter_mut().zip(&mut found) {
                if let Some(entry) = cursor.advance() {
                    found.insert(id(entry.key), (entry.key, *entry.value));
                    is_over = false;
                }
            }
        }
        for ((cursor, expected), found) in cursors.iter_mut().zip(found) {
            assert_eq!(found, *expected);
            assert!(cursor.advance().is_none(), "the end is the end");
        }
        drop(cursors);
        pool.assert_nothing_leaked();
    }

    /// Two keys whose hashes differ in this bit alone.
    fn check_deep<H: TestHeap>(bit: u32) {
        let pool = Pool::new();
        for first in [0, u32::MAX, 0x5555_5555] {
            let mut map = Trie::<H>::new();
            let hashes = BTreeSet::from([first, first ^ 1 << bit]);
            // More than one entry each, so that leaves with room for a few have to split.
            let mut keys = Vec::new();
            for (place, &hash) in hashes.iter().enumerate() {
                for key in (place as u32 * 20)..(place as u32 * 20 + 12) {
                    let hash = Hash::from_words(hash, 7);
                    certain(map.insert(hash, key, pool.get(key % VALUES), same));
                    keys.push(key);
                    assert_eq!(map.iter().count(), keys.len());
                }
            }
            map.check_invariants();
            let found: BTreeSet<u32> = map.iter().map(|(_, entry)| entry.key).collect();
            assert!(found.iter().eq(&keys), "all keys, those with the smaller hash first");
            let mut cursor = map.into_cursor();
            for _ in 0..5 {
                assert!(cursor.advance().is_some());
            }
        }
        pool.assert_nothing_leaked();
    }

    fn check_small<H: TestHeap>() {
        let pool = Pool::new();
        let mut map = Trie::<H>::new();
        assert!(map.iter().next().is_none() && map.cursor().advance().is_none());
        let hash = Hash::from_words(u32::MAX, u32::MAX);
        certain(map.insert(hash, 5, pool.get(5), same));
        assert_eq!(map.iter().map(|(hash, entry)| (hash, entry.key)).next(), Some((hash, 5)));
        let mut cursor = map.cursor();
        drop(map);
        assert_eq!(cursor.advance().map(|entry| (entry.key, *entry.value)), Some((5, 5)));
        assert!(cursor.advance().is_none() && cursor.root().is_some());
    }

    proptest! {
        #![proptest_config(cases(96))]

        #[test]
        fn sees_every_entry_once(plan in plan(48)) {
            on_every_heap!(check(&plan));
        }
    }

    #[test]
    fn reaches_the_deepest_leaves() {
        for bit in [0, 1, 2, 3, 4, 15, 30, 31] {
            on_every_heap!(check_deep(bit));
        }
    }

    #[test]
    fn copes_with_next_to_nothing() {
        on_every_heap!(check_small());
    }
}

mod locations {
    use super::*;

    fn locate<H: TestHeap>(map: &Trie<H>, key: u32, bits: u32) -> Location {
        certain(map.locate(hash(key, bits), |stored: &u32| same(&key, stored)))
    }

    fn check<H: TestHeap>(plan: &Plan) {
        let pool = Pool::new();
        let [_, mut map, _] = plan.maps::<H>(&pool);
        let mut expected = model(&map);
        for &(key, value) in &plan.theirs {
            let before = map.clone();
            let location = locate(&map, key, plan.bits);
            let hash = hash(key, plan.bits);
            assert_eq!(location.is_found(), expected.contains_key(&key));
            let found = map.entry_at(hash, location).map(|entry| (entry.key, *entry.value));
            assert_eq!(found, expected.get(&key).copied());
            let mut twin = map.clone();
            let old = match value {
                Some(value) => {
                    let stored = expected.get(&key).map_or(key, |it| it.0);
                    certain(twin.insert(hash, key, pool.get(value), same));
                    expected.insert(key, (stored, value));
                    certain(map.insert_at(hash, location, key, pool.get(value)).0)
                }
                None => {
                    certain(twin.remove(hash, |stored: &u32| same(&key, stored)));
                    expected.remove(&key);
                    certain(map.remove_at(hash, location).0).map(|entry| entry.value)
                }
            };
            assert_eq!(old.map(|value| *value), found.map(|(_, value)| value));
            assert_eq!(model(&map), expected);
            assert_eq!(map.equal(&twin, &mut Judge::default()), Ok(true));
            assert_eq!(before.len(), model(&before).len(), "other maps see no change");
        }
        drop(map);
        pool.assert_nothing_leaked();
    }

    /// Uses locations of one map on another: that may panic or do the wrong thing, but nothing
    /// that a sanitizer finds.
    fn check_stale<H: TestHeap>(plan: &Plan) {
        let pool = Pool::new();
        let [_, old, new] = plan.maps::<H>(&pool);
        for key in 0..2 * TRIED {
            let (hash, location) = (hash(key, plan.bits), locate(&old, key, plan.bits));
            for is_shared in [false, true] {
                let mut map = rebuilt(&new);
                let other = is_shared.then(|| (map.clone(), model(&map)));
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    map.entry_at(hash, location).map(|entry| *entry.value)
                }));
                for step in 0..4 {
                    let _ = catch_unwind(AssertUnwindSafe(|| match step {
                        0 | 2 => drop(map.insert_at(hash, location, key, pool.get(1))),
                        _ => drop(map.remove_at(hash, location)),
                    }));
                    let _ = catch_unwind(AssertUnwindSafe(|| {
                        map.iter().take(100).map(|(_, entry)| *entry.value).sum::<u32>()
                    }));
                }
                for key in 0..2 * TRIED {
                    let edits = [(key, Some(1)), (key + 1, None)];
                    let _ = catch_unwind(AssertUnwindSafe(|| {
                        apply(&mut map, &edits, 0, plan.bits, &pool);
                    }));
                }
                if let Some((other, before)) = other {
                    assert_eq!(model(&other), before, "other maps see no change");
                }
            }
        }
        drop((old, new));
        pool.assert_nothing_leaked();
    }

    proptest! {
        #![proptest_config(cases(64))]

        #[test]
        fn lead_to_the_same_edits(plan in plan(48)) {
            on_every_heap!(check(&plan));
        }
    }

    proptest! {
        #![proptest_config(cases(12))]

        #[test]
        fn of_other_maps_do_no_harm(plan in plan(24)) {
            on_every_heap!(check_stale(&plan));
        }
    }
}

mod digest {
    use super::*;

    fn of_entry<H: TestHeap>(entry: &EntryOf<H>) -> Result<u64, Raised> {
        user_code()?;
        Ok(u64::from(entry.key).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(*entry.value))
    }

    fn check<H: TestHeap>(plan: &Plan) {
        let pool = Pool::new();
        let [base, ours, theirs] = plan.maps::<H>(&pool);
        let merged =
            certain(base.merge(&ours, &theirs, &mut Judge::default(), |_| Ok(Some(pool.get(2)))));
        let expect = |map: &Trie<H>| {
            let parts = map.iter().map(|(_, entry)| certain(of_entry::<H>(entry)));
            parts.fold(0, |sum, part| sum ^ part)
        };
        // A heap may remember what it was told: ask twice, and again after each edit.
        for map in [&base, &ours, &base, &theirs, &merged, &merged] {
            assert_eq!(map.digest(of_entry::<H>), Ok(expect(map)));
        }
        let mut edited = merged.clone();
        drop(merged);
        for edit in plan.base.iter().chain(&plan.ours) {
            apply(&mut edited, &[*edit], 1, plan.bits, &pool);
            assert_eq!(edited.digest(of_entry::<H>), Ok(expect(&edited)));
        }
    }

    proptest! {
        #![proptest_config(cases(64))]

        #[test]
        fn is_the_exclusive_or_over_all_entries(plan in plan(48)) {
            on_every_heap!(check(&plan));
        }
    }
}

/// Operations on big maps that differ in one entry look at a few entries.
mod big {
    use super::*;

    /// More calls than this for one change would not be O(log n).
    const FEW: usize = 200;

    fn check<H: TestHeap>(size: u32, bits: u32) {
        let value = Rc::new(1);
        let entry = |key| (hash(key, bits), EntryOf::<H> { key, value: Rc::clone(&value) });
        let base: Trie<H> = certain(Trie::build((0..size).map(entry).collect(), same));
        assert_eq!(base.len(), size as usize);

        let changed = size / 2;
        let mut edits: Vec<Trie<H>> = Vec::new();
        for (key, value) in [(changed, Some(2)), (changed, None), (size, Some(3)), (7, Some(4))] {
            let mut edited = base.clone();
            match value {
                Some(value) => {
                    drop(certain(edited.insert(hash(key, bits), key, Rc::new(value), same)))
                }
                None => drop(certain(edited.remove(hash(key, bits), |k: &u32| same(&key, k)))),
            }
            edits.push(edited);
        }
        let other = &edits[3];
        let nodes = live_nodes();
        for edited in &edits[..3] {
            let count = |operation: &dyn Fn(&mut Judge)| {
                let mut judge = Judge::default();
                operation(&mut judge);
                assert!(judge.calls < FEW, "{} comparisons", judge.calls);
            };
            count(&|judge| assert_eq!(base.equal(edited, judge), Ok(false)));
            count(&|judge| drop(certain(base.updated(edited, judge))));
            count(&|judge| drop(certain(edited.updated(&base, judge))));
            count(&|judge| drop(certain(base.intersection(edited, judge))));
            count(&|judge| {
                let left = certain(base.difference(edited, judge));
                assert_eq!(left.len(), base.len().saturating_sub(edited.len()));
            });
            count(&|judge| {
                let diff = certain(base.diff(edited, judge, |_, new| Ok(Rc::clone(new))));
                assert_eq!(diff.added.len() + diff.removed.len() + diff.changed.len(), 1);
            });
            count(&|judge| {
                let merged = certain(base.merge(edited, other, judge, |_| Err(Raised)));
                assert_eq!(merged.len(), edited.len());
                assert!(live_nodes() < nodes + FEW, "all but a few nodes are shared");
                let again = certain(base.diff(&merged, judge, |_, new| Ok(Rc::clone(new))));
                let found = again.added.len() + again.removed.len() + again.changed.len();
                assert_eq!(found, 2);
            });
        }
        assert_eq!(live_nodes(), nodes);
    }

    #[test]
    fn maps_are_compared_where_they_differ() {
        let size = if cfg!(miri) { 500 } else { 100_000 };
        check::<Fallible<PointerShape>>(size, 32);
        check::<Checked<PointerShape>>(size, 32);
        check::<Checked<OddBits>>(size / 8, 32);
        check::<Fallible<Binary>>(size / 8, 32);
        assert_eq!(live_nodes(), 0);
    }

    #[test]
    fn digests_are_taken_where_maps_differ() {
        let size = if cfg!(miri) { 500 } else { 20_000 };
        let value = Rc::new(1);
        let entry = |key| {
            (hash(key, 32), EntryOf::<Checked<PointerShape>> { key, value: Rc::clone(&value) })
        };
        let mut map: Trie<Checked<PointerShape>> =
            certain(Trie::build((0..size).map(entry).collect(), same));
        let digest = |map: &Trie<Checked<PointerShape>>| {
            let mut calls = 0;
            let sum = map.digest(|entry| {
                calls += 1;
                Ok(u64::from(entry.key) * 3 + u64::from(*entry.value))
            });
            (certain(sum), calls)
        };
        let (before, calls) = digest(&map);
        assert_eq!(calls, size as usize);
        assert_eq!(digest(&map), (before, 0), "the root remembers");
        let copy = map.clone();
        certain(map.insert(hash(17, 32), 17, Rc::new(2), same));
        let (after, calls) = digest(&map);
        assert_eq!(after, before ^ (17 * 3 + 1) ^ (17 * 3 + 2));
        assert!(calls < FEW, "{calls} entries");
        assert_eq!(digest(&copy), (before, 0), "the original still remembers");
    }

    /// Keys that all have one hash, and a rehash: no operation compares each with each.
    #[test]
    fn keys_that_collide_are_found_by_their_rehash() {
        let size = if cfg!(miri) { 100 } else { 2000_u32 };
        let value = Rc::new(1);
        let hash = Hash::from_words(7, 7);
        let entry = |key| (hash, EntryOf::<Whole<PointerShape>> { key, value: Rc::clone(&value) });
        let mut calls = 0;
        let mut count_same = |a: &u32, b: &u32| {
            calls += 1;
            Ok(id(*a) == id(*b))
        };
        let evens = (0..size).map(|key| key * 2 % COPY);
        let a: Trie<Whole<PointerShape>> =
            certain(Trie::build(evens.clone().map(entry).collect(), &mut count_same));
        let b: Trie<Whole<PointerShape>> =
            certain(Trie::build(evens.rev().map(entry).collect(), &mut count_same));
        assert!(calls <= 8 * size as usize, "{calls} comparisons to build");
        let judge = &mut Judge::default();
        assert_eq!(a.equal(&b, judge), Ok(true));
        assert_eq!(certain(a.updated(&b, judge)).len(), a.len());
        assert!(certain(a.difference(&b, judge)).is_empty());
        a.check_invariants();
        b.check_invariants();
        assert!(judge.calls <= 16 * size as usize, "{} comparisons", judge.calls);
    }
}
