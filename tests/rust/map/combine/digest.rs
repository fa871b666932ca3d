//! The digest depends on the entries only, and is cached in branches.

use super::*;

fn of_entry<H: TestHeap>(entry: &EntryOf<H>) -> Result<u64, Raised> {
    user_code()?;
    Ok(u64::from(entry.key).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(*entry.value))
}

pub(super) fn check<H: TestHeap>(plan: &Plan) {
    let pool = Pool::new();
    let [base, ours, theirs] = plan.maps::<H>(&pool);
    let merged =
        certain(base.merge(&ours, &theirs, &mut Judge::default(), |_| Ok(Some(pool.get(2)))));
    let expect = |map: &Trie<H>| {
        let parts = map.iter().map(|(_, entry)| certain(of_entry::<H>(entry)));
        parts.fold(0, |sum, part| sum ^ part)
    };
    // The heap may cache digests, so they are computed twice, and again after each edit.
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
