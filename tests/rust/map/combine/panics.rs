//! A panic in user code leaves the maps unchanged and leaks nothing.

use super::*;

/// Makes user code panic in the middle of an operation that reads its maps only.
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
