//! Received values are set in a block or in a context, and the values from before come back.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use super::hostile::{CARRIER, CART, TENANT};
use ctxvars::carrier::{Deadline, Level, Received};
use ctxvars::{Context, ContextVar, FutureContextExt as _};
use std::panic::{catch_unwind, resume_unwind};
use std::thread;
use std::time::{Duration, Instant};

static OTHER: ContextVar<u8> = ContextVar::new("other");

fn received(text: &str) -> Received {
    CARRIER.extract(&[("baggage", text)], Level::Process)
}

fn tenant() -> Option<String> {
    TENANT.get()
}

#[test]
fn values_are_set_in_a_scope_and_restored_afterwards() {
    let received = received("tests.tenant=globex");
    TENANT.scope("acme".into(), || {
        CART.scope(vec![], || {
            for _ in 0..2 {
                received.scope(|| {
                    assert_eq!((tenant().as_deref(), CART.is_set()), (Some("globex"), false));
                    OTHER.set(1);
                    TENANT.set("other".into());
                    CART.set(vec![]);
                });
                assert_eq!((tenant().as_deref(), CART.is_set()), (Some("acme"), true));
            }
            assert_eq!(OTHER.get(), Some(1)); // not a variable of the carrier
        });
    });
    assert_eq!(tenant(), None);
}

#[test]
fn a_variable_that_was_unset_before_is_unset_afterwards() {
    received("").scope(|| {
        TENANT.set("left behind".into());
    });
    assert!(!TENANT.is_set());
}

#[test]
fn a_panic_restores_the_values() {
    let panicked = catch_unwind(|| {
        received("tests.tenant=globex").scope(|| resume_unwind(Box::new("a panic")))
    });
    assert!(panicked.is_err() && !TENANT.is_set());
}

#[test]
fn guards_may_be_dropped_in_any_order() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let _before = TENANT.enter("before".into());
        let first = received("tests.tenant=first").enter();
        let second = TENANT.enter("second".into());
        let third = received("").enter();
        let mut guards: [Option<Box<dyn std::any::Any>>; 3] =
            [Some(Box::new(first)), Some(Box::new(second)), Some(Box::new(third))];
        for dropped in order {
            guards[dropped] = None;
            // The value is that of the latest guard which is alive.
            let expected = match guards.iter().rposition(Option::is_some) {
                Some(0) => Some("first"),
                Some(1) => Some("second"),
                Some(_) => None,
                None => Some("before"),
            };
            assert_eq!(tenant().as_deref(), expected, "{order:?}");
        }
    }
}

#[test]
fn a_guard_that_is_dropped_in_another_context_changes_nothing() {
    let entered = received("tests.tenant=globex").enter();
    Context::new().run(|| {
        TENANT.set("elsewhere".into());
        drop(entered);
        assert_eq!(tenant().as_deref(), Some("elsewhere"));
    });
    assert_eq!(tenant().as_deref(), Some("globex"));
}

#[test]
fn a_context_takes_the_values_to_another_thread() {
    TENANT.scope("acme".into(), || {
        let received = received("tests.cart=[]");
        let mut context = received.context();
        assert_eq!(tenant().as_deref(), Some("acme"));
        let seen = thread::spawn(move || context.run(|| (tenant(), CART.get()))).join().unwrap();
        assert_eq!(seen, (None, Some(vec![])));
    });
}

#[tokio::test]
async fn a_future_has_the_values_across_awaits() {
    let work = async {
        tokio::task::yield_now().await;
        tenant()
    };
    let context = received("tests.tenant=globex").context();
    assert_eq!(tokio::spawn(work.in_context(context)).await.unwrap().as_deref(), Some("globex"));
    assert_eq!(tenant(), None);
}

#[test]
fn missing_values_stay_if_they_are_not_cleared() {
    let receiving = CARRIER.receiving(Level::Process).clear_missing(false);
    TENANT.scope("acme".into(), || {
        receiving.extract_values(["tests.cart=[]"]).scope(|| {
            assert_eq!((tenant().as_deref(), CART.get()), (Some("acme"), Some(vec![])));
        });
    });
}

#[test]
fn a_received_deadline_replaces_another_one_unless_missing_values_stay() {
    let soon = Deadline::at(Instant::now());
    let keeping = CARRIER.receiving(Level::Process).clear_missing(false);
    soon.scope(|| {
        let later = "ctxvars.deadline=1000";
        assert_eq!(keeping.extract_values([later]).scope(Deadline::current), Some(soon));
        assert_eq!(keeping.extract_values([later]).context().run(Deadline::current), Some(soon));
        assert!(received(later).scope(Deadline::current) > Some(soon));
        assert_eq!(received("").scope(Deadline::current), None);
    });
    let far = Deadline::after(Duration::from_secs(5000));
    far.scope(|| {
        let earlier = keeping.extract_values(["ctxvars.deadline=1000"]).scope(Deadline::current);
        assert!(earlier.unwrap() < far);
    });
}

#[test]
fn a_deadline_can_only_be_shortened() {
    let (soon, far) = (Deadline::at(Instant::now()), Deadline::after(Duration::from_secs(60)));
    let current = || Deadline::current().unwrap();
    far.scope(|| {
        assert_eq!(soon.scope(current), soon);
        assert_eq!(soon.scope(|| far.scope(current)), soon);
        assert_eq!(current(), far);
        let entered = soon.enter();
        assert_eq!(far.scope(current), soon);
        drop(entered);
        assert_eq!(current(), far);
    });
    let context = soon.apply_to(far.apply_to(Context::new()));
    assert_eq!(far.apply_to(context).run(current), soon);
}

#[test]
fn a_clone_of_a_value_is_not_needed() {
    /// Cannot be cloned.
    #[derive(Debug, PartialEq)]
    struct Unique(u8);

    static UNIQUE: ContextVar<Unique> = ContextVar::new("unique");
    use ctxvars::carrier::{Carrier, Codec as _, Portable};

    let portable = Portable::with_codec(
        &UNIQUE,
        "tests.unique",
        |unique| unique.0.encode(),
        |text| u8::decode(text).map(Unique),
    );
    let carrier = Carrier::builder().with(portable).build().unwrap();
    let received = carrier.extract(&[("baggage", "tests.unique=5")], Level::Internal);
    assert_eq!(received.get(&UNIQUE), Some(&Unique(5)));
    received.scope(|| UNIQUE.with(|unique| assert_eq!(unique, Some(&Unique(5)))));
}
