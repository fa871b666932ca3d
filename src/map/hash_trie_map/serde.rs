//! The feature `serde`: a map serializes and deserializes as a map.

use super::HashTrieMap;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

impl<K, V, S> HashTrieMap<K, V, S> {
    /// The largest number of entries to allocate memory for in advance: the announced number may be
    /// wrong or malicious.
    pub(in crate::map) const MAX_PREALLOCATED: usize = 4096;
}

impl<K, V, S> Serialize for HashTrieMap<K, V, S>
where
    K: Serialize,
    V: Serialize,
{
    /// Serializes the entries in an unspecified order. O(n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map = HashTrieMap::from([("retries", 3)]);
    /// assert_eq!(serde_json::to_string(&map)?, r#"{"retries":3}"#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    fn serialize<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, K, V, S> Deserialize<'de> for HashTrieMap<K, V, S>
where
    K: Eq + Hash + Deserialize<'de>,
    V: Deserialize<'de>,
    S: BuildHasher + Default,
{
    /// Deserializes entries. If a key occurs several times, the last value wins. O(n log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map: HashTrieMap<String, u32> = serde_json::from_str(r#"{"retries":3,"retries":5}"#)?;
    /// assert_eq!((map.len(), map["retries"]), (1, 5));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader(PhantomData))
    }
}

struct Reader<M>(PhantomData<M>);

impl<'de, K, V, S> Visitor<'de> for Reader<HashTrieMap<K, V, S>>
where
    K: Eq + Hash + Deserialize<'de>,
    V: Deserialize<'de>,
    S: BuildHasher + Default,
{
    type Value = HashTrieMap<K, V, S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut data: A) -> Result<Self::Value, A::Error> {
        let announced = data.size_hint().unwrap_or(0);
        let hasher = S::default();
        let mut entries = Vec::with_capacity(announced.min(Self::Value::MAX_PREALLOCATED));
        while let Some((key, value)) = data.next_entry()? {
            entries.push(HashTrieMap::hash_entry(&hasher, key, value));
        }
        Ok(HashTrieMap::of_hashed(hasher, entries))
    }
}
