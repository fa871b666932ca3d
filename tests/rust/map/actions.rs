//! Random programs of all operations of `HashTrieMap`, compared with `std::collections::BTreeMap`.

use crate::support::actions::strategy::program;
use crate::support::actions::*;
use crate::support::shapes::{MANY, cases};
use ctxvars::HashTrieMap;
use ctxvars::hash_trie_map::Entry;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::hash::BuildHasher;
use std::mem::take;
use std::time::{Duration, Instant};

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn behaves_like_a_btree_map(program in program(MANY, MANY)) {
        program.run();
    }
}

/// One step of each kind, on maps of two sizes, with every kind of hasher.
fn every_action() -> Vec<Action> {
    let [a, b, c, d] = [0, 1, 2, 3].map(Slot);
    let pair = |id, copy, value| Pair { id, copy, value };
    let (first, absent, again) = (pair(0, 0, 1), pair(500, 1, 2), pair(3, 1, 4));
    let pairs = vec![pair(3, 2, 5), pair(60, 0, 0), pair(60, 1, 2), pair(61, 0, 1)];
    vec![
        Action::Fill { map: a, first, count: 40 },
        Action::Collect { pairs: pairs.clone(), to: b },
        Action::Insert { map: a, pair: again },
        Action::Update { map: a, pair: absent, to: c },
        Action::GetMut { map: a, pair: again },
        Action::Alter { map: a, pair: pair(4, 0, 0), to: d },
        Action::Alter { map: a, pair: pair(5, 0, 3), to: d },
        Action::EntryOrInsert { map: a, pair: absent },
        Action::EntryAndModify { map: c, pair: absent },
        Action::EntryInsert { map: c, pair: pair(501, 0, 3) },
        Action::EntryInsertEntry { map: c, pair: pair(501, 2, 4) },
        Action::EntryInsertEntry { map: c, pair: pair(502, 0, 3) },
        Action::EntryRemove { map: c, pair: pair(7, 0, 0) },
        Action::EntryDrop { map: c, pair: pair(7, 0, 0) },
        Action::Remove { map: a, pair: absent },
        Action::RemoveEntry { map: a, pair: pair(8, 0, 0) },
        Action::Without { map: a, pair: pair(9, 0, 0), to: d },
        Action::Extend { map: d, pairs },
        Action::ExtendByReference { map: d, other: b },
        Action::Clone { map: d, to: c },
        Action::Retain { map: c, below: 3 },
        Action::Filter { map: d, below: 2, to: c },
        Action::MapValues { map: c, add: 2, to: c },
        Action::ValuesMut { map: c, add: 1 },
        Action::IterMut { map: c, add: 1 },
        Action::IntoIter { map: c, below: 6 },
        Action::Union { map: b, other: a, to: d },
        Action::UnionWith { map: c, other: d, to: c },
        Action::Intersection { map: a, other: d, to: d },
        Action::IntersectionWith { map: d, other: c, to: d },
        Action::Difference { map: c, other: b, to: d },
        Action::SymmetricDifference { map: c, other: b, to: d },
        Action::Merge { base: a, ours: c, theirs: d, to: a },
        Action::IsSubmap { map: b, other: c },
        Action::Equal { map: c, other: d },
        Action::Hash { map: c, other: d },
        Action::Diff { map: c, other: d },
        Action::Get { map: c, pair: absent },
        Action::Rebuild { map: a, to: d },
        Action::IntoIterPart { map: d, count: 9 },
        Action::ExtractIf { map: c, below: 2 },
        Action::Drain { map: a, count: 5 },
        Action::Clear { map: c },
    ]
}

#[test]
#[cfg_attr(miri, ignore)]
fn every_action_agrees_with_the_model_with_every_hasher() {
    for hashing in Hashing::ALL {
        Program { hashing, actions: every_action() }.run();
    }
}

/// The debug output of a program is code: it equals a file that is compiled here. Set `CTXVARS_BLESS` to
/// rewrite the file.
#[test]
fn a_program_is_printed_as_code_that_runs() {
    fn printed() -> String {
        format!("{:?}\n", Program { hashing: Hashing::Bits4, actions: every_action() })
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rust/support/actions/every_action.rs");
    if std::env::var_os("CTXVARS_BLESS").is_some() {
        std::fs::write(path, printed()).expect("the file can be written");
    }
    assert_eq!(printed(), include_str!("../support/actions/every_action.rs"));
    include!("../support/actions/every_action.rs");
}

/// Runs for `CTXVARS_SECONDS`. `make fuzz-rust` uses this test if cargo-fuzz is not installed.
#[test]
#[ignore = "runs for a minute"]
fn long_programs_behave_like_a_btree_map() {
    let seconds = std::env::var("CTXVARS_SECONDS").ok().and_then(|it| it.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(60));
    let mut programs: u64 = 0;
    while Instant::now() < end {
        let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
        let steps = if programs % 128 == 0 { 200 } else { 40 };
        let done = TestRunner::new(config).run(&program(steps, 100), |program| {
            program.run();
            Ok(())
        });
        if let Err(error) = done {
            panic!("{error}");
        }
        programs += 64;
    }
    println!("{programs} programs behaved like a tree map");
}
