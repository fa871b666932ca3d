//! `HashTrieSet`, compared with `std::collections::HashSet`.

use crate::support::shapes::cases;
use ctxvars::hash_trie_set::{Diff, HashTrieSet, IntoIter, Iter};
use proptest::prelude::*;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};

type Std = HashSet<u16>;

/// One operation on one item.
#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(u16),
    Replace(u16),
    Remove(u16),
    Take(u16),
    Update(u16),
    Without(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let item = 0_u16..120;
    prop_oneof![
        item.clone().prop_map(Step::Insert),
        item.clone().prop_map(Step::Replace),
        item.clone().prop_map(Step::Remove),
        item.clone().prop_map(Step::Take),
        item.clone().prop_map(Step::Update),
        item.prop_map(Step::Without),
    ]
}

fn items() -> impl Strategy<Value = Std> {
    prop::collection::hash_set(0_u16..120, 0..100)
}

fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort();
    items
}

fn check<S: BuildHasher>(set: &HashTrieSet<u16, S>, std: &Std) {
    set.check_invariants();
    assert_eq!((set.len(), set.is_empty()), (std.len(), std.is_empty()));
    assert_eq!(sorted(set), sorted(std));
    assert!(std.iter().all(|item| set.contains(item) && set.get(item) == Some(item)));
}

fn apply<S: BuildHasher + Clone>(set: &mut HashTrieSet<u16, S>, std: &mut Std, step: Step) {
    let before = (set.clone(), std.clone());
    match step {
        Step::Insert(item) => assert_eq!(set.insert(item), std.insert(item)),
        Step::Replace(item) => assert_eq!(set.replace(item), std.replace(item)),
        Step::Remove(item) => assert_eq!(set.remove(&item), std.remove(&item)),
        Step::Take(item) => assert_eq!(set.take(&item), std.take(&item)),
        Step::Update(item) => {
            *set = set.update(item);
            std.insert(item);
        }
        Step::Without(item) => {
            *set = set.without(&item);
            std.remove(&item);
        }
    }
    check(&before.0, &before.1);
    check(set, std);
}

fn compare<S: BuildHasher + Clone>(
    (a, model_a): (&HashTrieSet<u16, S>, &Std),
    (b, model_b): (&HashTrieSet<u16, S>, &Std),
) {
    check(&(a | b), &(model_a | model_b));
    check(&(a & b), &(model_a & model_b));
    check(&(a - b), &(model_a - model_b));
    check(&(a ^ b), &(model_a ^ model_b));
    assert_eq!(a.is_subset(b), model_a.is_subset(model_b));
    assert_eq!(a.is_superset(b), model_a.is_superset(model_b));
    assert_eq!(a.is_disjoint(b), model_a.is_disjoint(model_b));
    assert_eq!(a == b, model_a == model_b);
    let Diff { added, removed } = a.diff(b);
    assert_eq!(sorted(added), sorted(model_b.difference(model_a)));
    assert_eq!(sorted(removed), sorted(model_a.difference(model_b)));
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn single_items_agree_with_std(start in items(), steps in prop::collection::vec(step(), 0..40)) {
        let mut set: HashTrieSet<u16> = start.iter().copied().collect();
        let mut seeded = HashTrieSet::with_hasher(RandomState::new());
        seeded.extend(&start);
        let (mut std, mut other_std) = (start.clone(), start);
        for step in steps {
            apply(&mut set, &mut std, step);
            apply(&mut seeded, &mut other_std, step);
        }
    }

    #[test]
    fn operations_on_two_sets_agree_with_std(
        start in items(),
        other in items(),
        steps in prop::collection::vec(step(), 0..10),
    ) {
        let set = HashTrieSet::from(start.clone());
        let (mut derived, mut model) = (set.clone(), start.clone());
        steps.iter().for_each(|&step| apply(&mut derived, &mut model, step));
        let unrelated: HashTrieSet<u16> = other.iter().copied().collect();
        for pair in [(&derived, &model), (&unrelated, &other), (&set, &start)] {
            compare((&set, &start), pair);
            compare(pair, (&set, &start));
        }
        check(&set.merge(&derived, &unrelated), &{
            let kept = start.iter().filter(|it| model.contains(it) && other.contains(it));
            let added = model.union(&other).filter(|it| !start.contains(it));
            kept.chain(added).copied().collect()
        });
        // Sets with different hashers.
        let seeded = |items: &Std| {
            let mut set = HashTrieSet::with_hasher(RandomState::new());
            set.extend(items);
            set
        };
        compare((&seeded(&start), &start), (&seeded(&other), &other));
        prop_assert_eq!(hash_of(&set), hash_of(&seeded(&start)));
    }

    #[test]
    fn removing_many_items_agrees_with_std(start in items(), divisor in 1_u16..5, taken in 0_usize..20) {
        let set: HashTrieSet<u16> = start.iter().copied().collect();
        let kept = |item: &u16| item % divisor != 0;
        let (mut retained, mut std) = (set.clone(), start.clone());
        retained.retain(kept);
        std.retain(kept);
        check(&retained, &std);
        check(&set.filter(kept), &std);
        let mut rest = set.clone();
        prop_assert_eq!(sorted(rest.extract_if(|item| !kept(item))), sorted(start.difference(&std).copied()));
        check(&rest, &std);
        let mut rest = set.clone();
        let extracted: Vec<u16> = rest.extract_if(|_| true).take(taken).collect();
        check(&rest, &start.iter().copied().filter(|it| !extracted.contains(it)).collect());
        let mut drained = set.clone();
        prop_assert_eq!(sorted(drained.drain()), sorted(start.iter().copied()));
        check(&drained, &Std::new());
        prop_assert_eq!(sorted(set.clone()), sorted(start.iter().copied()));
        check(&set, &start);
    }
}

#[test]
fn sets_convert_from_other_collections() {
    let set = HashTrieSet::from([1, 2, 2]);
    assert_eq!(HashTrieSet::from(vec![2, 1]), set);
    assert_eq!(HashTrieSet::from(BTreeSet::from([1, 2])), set);
    assert_eq!(HashTrieSet::from(HashSet::from([1, 2])), set);
    assert_eq!(&HashTrieSet::default() | &HashTrieSet::from([1]), HashTrieSet::from([1]));
    let mut hints: HashTrieSet<u8> = HashTrieSet::with_capacity(9);
    hints.reserve(9);
    hints.shrink_to_fit();
    assert_eq!(hints, HashTrieSet::new());
}

#[test]
fn debug_output_of_sets_matches_the_standard_library() {
    let (mut set, mut std) = (HashTrieSet::from(["a"]), HashSet::from(["a"]));
    assert_eq!(format!("{set:?} {set:#?}"), format!("{std:?} {std:#?}"));
    assert_eq!(format!("{:?}", set.iter()), format!("{:?}", std.iter()));
    assert_eq!(format!("{:?}", set.clone().into_iter()), format!("{:?}", std.clone().into_iter()));
    assert_eq!(format!("{:?}", set.drain()), format!("{:?}", std.drain()));
    assert_eq!((Iter::<u8>::default().next(), IntoIter::<u8>::default().next()), (None, None));
}

/// Items without `Clone` can be collected, read, compared and dropped.
#[test]
fn a_set_of_items_without_clone_is_built_and_read() {
    #[derive(Debug, PartialEq, Eq, Hash)]
    struct Solid(u32);

    #[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
    struct Wrapper<T: Eq + Hash>(HashTrieSet<T>);

    let set: HashTrieSet<Solid> = (0..100).map(Solid).collect();
    assert!((0..100).all(|n| set.contains(&Solid(n))));
    let wrapper = Wrapper(set.clone());
    assert!(wrapper.0.ptr_eq(&set));
    assert_eq!(Wrapper::<u8>::default().clone(), Wrapper(HashTrieSet::new()));
    const { assert!(size_of::<HashTrieSet<u8>>() <= 16) };
}

#[test]
fn nested_sets_share_nodes() {
    let inner: HashTrieSet<u32> = (0..1000).collect();
    let mut outer = HashTrieSet::from([inner.clone()]);
    assert!(!outer.insert((0..1000).rev().collect()));
    assert!(outer.get(&inner).is_some_and(|stored| stored.ptr_eq(&inner)));
}
