//! The feature `serde`: a set serializes and deserializes as a sequence.

use super::HashTrieSet;
use crate::map::hash_trie_map::HashTrieMap;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

impl<T: Serialize, S> Serialize for HashTrieSet<T, S> {
    /// Serializes the items in an unspecified order. O(n).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// assert_eq!(serde_json::to_string(&HashTrieSet::from(["a"]))?, r#"["a"]"#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    fn serialize<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de, T, S> Deserialize<'de> for HashTrieSet<T, S>
where
    T: Eq + Hash + Deserialize<'de>,
    S: BuildHasher + Default,
{
    /// Deserializes items. O(n log n).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let set: HashTrieSet<u32> = serde_json::from_str("[1, 2, 1]")?;
    /// assert_eq!(set, HashTrieSet::from([1, 2]));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Reader(PhantomData))
    }
}

struct Reader<M>(PhantomData<M>);

impl<'de, T, S> Visitor<'de> for Reader<HashTrieSet<T, S>>
where
    T: Eq + Hash + Deserialize<'de>,
    S: BuildHasher + Default,
{
    type Value = HashTrieSet<T, S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut data: A) -> Result<Self::Value, A::Error> {
        let announced = data.size_hint().unwrap_or(0);
        let hasher = S::default();
        let mut items =
            Vec::with_capacity(announced.min(HashTrieMap::<T, (), S>::MAX_PREALLOCATED));
        while let Some(item) = data.next_element()? {
            items.push(HashTrieMap::hash_entry(&hasher, item, ()));
        }
        Ok(HashTrieSet { map: HashTrieMap::of_hashed(hasher, items) })
    }
}
