//! The hasher that maps use unless they are given another one.

use core::hash::BuildHasher;
use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

/// Builds the hashers of a [`HashTrieMap`](super::HashTrieMap): fast ones, seeded at random once
/// in each process.
///
/// All maps of a process hash alike, so two that were built apart can be compared, united or
/// merged node by node. The algorithm is foldhash, as in `hashbrown`. Its seed keeps others from
/// preparing keys that collide, but it is not a cryptographic hash: a service whose clients choose
/// the keys, and can watch how long it takes, may prefer [`std::hash::RandomState`].
///
/// ```
/// use ctxvars::hash_trie_map::DefaultHashBuilder;
/// use std::hash::BuildHasher;
///
/// assert_eq!(DefaultHashBuilder.hash_one("key"), DefaultHashBuilder.hash_one("key"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultHashBuilder;

/// Any number will do: the random seed that all hashers share keeps hashes unpredictable.
const SEED: u64 = 0x51_7C_C1_B7_27_22_0A_95;

impl BuildHasher for DefaultHashBuilder {
    type Hasher = FoldHasher<'static>;

    #[inline]
    fn build_hasher(&self) -> FoldHasher<'static> {
        FoldHasher::with_seed(SEED, SharedSeed::global_random())
    }
}
