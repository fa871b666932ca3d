//! Building a map from entries: their order does not matter, and the last value of a key wins.

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
    // An edit may leave a node traced for a value that it has replaced.
    assert!(edited.is_traced() || !built.is_traced());
    // First sorted, then not sorted.
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
    fn equals_inserting_one_by_one(
        pairs in prop::collection::vec((0..60_u32, 0..VALUES), 0..2 * MANY),
        bits in prop::sample::select(&BITS[..]),
    ) {
        on_every_heap!(check(&pairs, bits));
    }

    #[test]
    #[cfg_attr(miri, ignore)]
    fn of_many_keys_equals_inserting_one_by_one(
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
