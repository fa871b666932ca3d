//! The default hasher.

use core::hash::BuildHasher;
use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

/// The default hasher of [`HashTrieMap`](super::HashTrieMap): foldhash, as in `hashbrown`, with one
/// random seed for each process.
///
/// All maps of a process hash alike, so maps that were built independently can be compared, united
/// or merged node by node.
///
/// The random seed prevents prepared collisions, but foldhash is not a cryptographic hash. If
/// clients choose the keys and can measure response times, consider [`std::hash::RandomState`].
///
/// ```
/// use ctxvars::hash_trie_map::DefaultHashBuilder;
/// use std::hash::BuildHasher;
///
/// assert_eq!(DefaultHashBuilder.hash_one("key"), DefaultHashBuilder.hash_one("key"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultHashBuilder;

/// Any number: the random seed that all hashers share makes hashes unpredictable.
const SEED: u64 = 0x51_7C_C1_B7_27_22_0A_95;

impl BuildHasher for DefaultHashBuilder {
    type Hasher = FoldHasher<'static>;

    #[inline]
    fn build_hasher(&self) -> FoldHasher<'static> {
        FoldHasher::with_seed(SEED, SharedSeed::global_random())
    }
}
