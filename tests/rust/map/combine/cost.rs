//! Operations on large maps that differ in one entry compare a few entries only.

use super::*;

/// One change must not take more calls than this: it is O(log n).
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
            Some(value) => drop(certain(edited.insert(hash(key, bits), key, Rc::new(value), same))),
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
fn only_differing_parts_are_compared() {
    let size = if cfg!(miri) { 500 } else { 100_000 };
    check::<Fallible<PointerShape>>(size, 32);
    check::<Checked<PointerShape>>(size, 32);
    check::<Checked<OddBits>>(size / 8, 32);
    check::<Fallible<Binary>>(size / 8, 32);
    assert_eq!(live_nodes(), 0);
}

#[test]
fn digests_visit_differing_parts_only() {
    let size = if cfg!(miri) { 500 } else { 20_000 };
    let value = Rc::new(1);
    let entry =
        |key| (hash(key, 32), EntryOf::<Checked<PointerShape>> { key, value: Rc::clone(&value) });
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

/// All keys have one hash and a rehash, so no operation compares all pairs of keys.
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
