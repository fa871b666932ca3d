//! The entry interface: a key is located once, and then read, changed, added or removed.

#[cfg(doc)]
use super::HashTrieMap;
use super::hasher::DefaultHashBuilder;
use crate::map::edit::{Found, Located, Missing};
use crate::map::heap::arc::ArcHeap;
use core::fmt;
use core::marker::PhantomData;
use core::mem;

/// The position of one key in a map, which is occupied or vacant. [`HashTrieMap::entry`] returns it.
///
/// The key is hashed and compared once, whatever operations follow. The methods are those of
/// [`std::collections::hash_map::Entry`].
///
/// ```
/// use ctxvars::HashTrieMap;
///
/// let mut counts: HashTrieMap<char, usize> = HashTrieMap::new();
/// for letter in "tattoo".chars() {
///     *counts.entry(letter).or_default() += 1;
/// }
/// assert_eq!(counts[&'t'], 3);
/// ```
pub enum Entry<'a, K, V, S = DefaultHashBuilder> {
    /// The map has the key.
    Occupied(OccupiedEntry<'a, K, V, S>),
    /// The map does not have the key.
    Vacant(VacantEntry<'a, K, V, S>),
}

/// An entry of the map: see [`Entry`].
///
/// ```
/// use ctxvars::hash_trie_map::{Entry, HashTrieMap};
///
/// let mut stock: HashTrieMap<&str, u32> = HashTrieMap::from([("tea", 2), ("milk", 1)]);
/// for good in ["tea", "milk"] {
///     if let Entry::Occupied(mut entry) = stock.entry(good) {
///         match *entry.get() {
///             1 => drop(entry.remove()),
///             left => drop(entry.insert(left - 1)),
///         }
///     }
/// }
/// assert_eq!(stock, HashTrieMap::from([("tea", 1)]));
/// ```
pub struct OccupiedEntry<'a, K, V, S = DefaultHashBuilder> {
    found: Found<'a, ArcHeap<K, V>>,
    _hasher: PhantomData<&'a mut S>,
}

/// A position for a key that is not in the map: see [`Entry`].
///
/// ```
/// use ctxvars::hash_trie_map::{Entry, HashTrieMap};
///
/// let mut ids: HashTrieMap<String, usize> = HashTrieMap::new();
/// for name in ["ann", "bob", "ann"] {
///     let next = ids.len();
///     if let Entry::Vacant(entry) = ids.entry(name.to_owned()) {
///         entry.insert(next);
///     }
/// }
/// assert_eq!((ids["ann"], ids["bob"]), (0, 1));
/// ```
pub struct VacantEntry<'a, K, V, S = DefaultHashBuilder> {
    missing: Missing<'a, ArcHeap<K, V>>,
    key: K,
    _hasher: PhantomData<&'a mut S>,
}

impl<'a, K, V, S> Entry<'a, K, V, S> {
    #[inline]
    pub(super) fn of(located: Located<'a, ArcHeap<K, V>>, key: K) -> Self {
        let _hasher = PhantomData;
        match located {
            Located::Found(found) => Self::Occupied(OccupiedEntry { found, _hasher }),
            Located::Missing(missing) => Self::Vacant(VacantEntry { missing, key, _hasher }),
        }
    }

    /// The key: the stored one, or else the argument of [`HashTrieMap::entry`].
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map: HashTrieMap<&str, i32> = HashTrieMap::new();
    /// assert_eq!(map.entry("a").key(), &"a");
    /// assert!(map.is_empty()); // nothing has been inserted
    /// ```
    pub fn key(&self) -> &K {
        match self {
            Self::Occupied(entry) => entry.key(),
            Self::Vacant(entry) => entry.key(),
        }
    }
}

impl<'a, K: Clone, V: Clone, S> Entry<'a, K, V, S> {
    /// Inserts `default` if the key has no value, and returns the value mutably. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map: HashTrieMap<&str, i32> = HashTrieMap::new();
    /// *map.entry("a").or_insert(10) += 1;
    /// *map.entry("a").or_insert(10) += 1;
    /// assert_eq!(map["a"], 12);
    /// ```
    #[inline]
    pub fn or_insert(self, default: V) -> &'a mut V {
        self.or_insert_with(|| default)
    }

    /// Inserts the result of `function` if the key has no value, and returns the value mutably.
    /// O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map: HashTrieMap<&str, String> = HashTrieMap::new();
    /// map.entry("name").or_insert_with(|| "anonymous".to_owned()).push('!');
    /// assert_eq!(map["name"], "anonymous!");
    /// ```
    #[inline]
    pub fn or_insert_with(self, function: impl FnOnce() -> V) -> &'a mut V {
        self.or_insert_with_key(|_| function())
    }

    /// Inserts the result of `function`, called with the key, if the key has no value, and returns the
    /// value mutably. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut lengths: HashTrieMap<&str, usize> = HashTrieMap::new();
    /// assert_eq!(*lengths.entry("tea").or_insert_with_key(|key| key.len()), 3);
    /// ```
    #[inline]
    pub fn or_insert_with_key(self, function: impl FnOnce(&K) -> V) -> &'a mut V {
        match self {
            Self::Occupied(entry) => entry.into_mut(),
            Self::Vacant(entry) => {
                let value = function(&entry.key);
                entry.insert(value)
            }
        }
    }

    /// Inserts `V::default()` if the key has no value, and returns the value mutably. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map: HashTrieMap<&str, Vec<u32>> = HashTrieMap::new();
    /// map.entry("even").or_default().push(2);
    /// assert_eq!(map["even"], [2]);
    /// ```
    #[inline]
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// Sets the value of the key, and returns its entry. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map: HashTrieMap<&str, i32> = HashTrieMap::new();
    /// let entry = map.entry("a").insert_entry(1);
    /// assert_eq!((entry.key(), entry.get()), (&"a", &1));
    /// ```
    pub fn insert_entry(self, value: V) -> OccupiedEntry<'a, K, V, S> {
        match self {
            Self::Occupied(mut entry) => {
                entry.insert(value);
                entry
            }
            Self::Vacant(entry) => entry.insert_entry(value),
        }
    }

    /// Calls `function` with the value, mutably, if the key has one. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map: HashTrieMap<&str, i32> = HashTrieMap::from([("a", 1)]);
    /// map.entry("a").and_modify(|value| *value += 1).or_insert(0);
    /// map.entry("b").and_modify(|value| *value += 1).or_insert(0);
    /// assert_eq!(map, HashTrieMap::from([("a", 2), ("b", 0)]));
    /// ```
    #[inline]
    pub fn and_modify(mut self, function: impl FnOnce(&mut V)) -> Self {
        if let Self::Occupied(entry) = &mut self {
            function(entry.get_mut());
        }
        self
    }
}

impl<K, V, S> OccupiedEntry<'_, K, V, S> {
    /// The stored key. O(1), or O(log n) if a node on its path is shared.
    ///
    /// ```
    /// use ctxvars::hash_trie_map::{Entry, HashTrieMap};
    ///
    /// let mut map: HashTrieMap<&str, i32> = HashTrieMap::from([("a", 1)]);
    /// let Entry::Occupied(entry) = map.entry("a") else { unreachable!("the key is there") };
    /// assert_eq!((entry.key(), entry.get()), (&"a", &1));
    /// ```
    pub fn key(&self) -> &K {
        &self.found.entry().key
    }

    /// The value. O(1), or O(log n) if a node on its path is shared.
    ///
    /// See [`key`](Self::key) for an example.
    pub fn get(&self) -> &V {
        &self.found.entry().value
    }
}

impl<'a, K: Clone, V: Clone, S> OccupiedEntry<'a, K, V, S> {
    /// The value, mutably. O(1), or O(log n) if a node on its path is shared, and is copied.
    ///
    /// ```
    /// use ctxvars::hash_trie_map::{Entry, HashTrieMap};
    ///
    /// let mut map: HashTrieMap<&str, i32> = HashTrieMap::from([("a", 1)]);
    /// let Entry::Occupied(mut entry) = map.entry("a") else { unreachable!("the key is there") };
    /// *entry.get_mut() += 1;
    /// assert_eq!(entry.get(), &2);
    /// ```
    #[inline]
    pub fn get_mut(&mut self) -> &mut V {
        self.found.value_mut()
    }

    /// The value, mutably, for as long as the map is borrowed. O(1), or O(log n) if a node on its path
    /// is shared, and is copied.
    ///
    /// ```
    /// use ctxvars::hash_trie_map::{Entry, HashTrieMap};
    ///
    /// /// The result outlives the entry.
    /// fn find<'a>(map: &'a mut HashTrieMap<u32, u32>, key: u32) -> Option<&'a mut u32> {
    ///     match map.entry(key) {
    ///         Entry::Occupied(entry) => Some(entry.into_mut()),
    ///         Entry::Vacant(_) => None,
    ///     }
    /// }
    ///
    /// let mut map = HashTrieMap::from([(1, 1)]);
    /// assert_eq!(find(&mut map, 1), Some(&mut 1));
    /// ```
    #[inline]
    pub fn into_mut(self) -> &'a mut V {
        self.found.into_value_mut()
    }

    /// Replaces the value and returns the old one. O(1), or O(log n) if a node on its path is shared.
    ///
    /// ```
    /// use ctxvars::hash_trie_map::{Entry, HashTrieMap};
    ///
    /// let mut map: HashTrieMap<&str, i32> = HashTrieMap::from([("a", 1)]);
    /// if let Entry::Occupied(mut entry) = map.entry("a") {
    ///     assert_eq!(entry.insert(2), 1);
    /// }
    /// assert_eq!(map["a"], 2);
    /// ```
    #[inline]
    pub fn insert(&mut self, value: V) -> V {
        mem::replace(self.get_mut(), value)
    }

    /// Removes the key and returns its value. O(log n).
    ///
    /// ```
    /// use ctxvars::hash_trie_map::{Entry, HashTrieMap};
    ///
    /// let mut map: HashTrieMap<&str, i32> = HashTrieMap::from([("a", 1)]);
    /// if let Entry::Occupied(entry) = map.entry("a") {
    ///     assert_eq!(entry.remove(), 1);
    /// }
    /// assert!(map.is_empty());
    /// ```
    pub fn remove(self) -> V {
        self.remove_entry().1
    }

    /// Removes and returns the key, as the map had it, and its value. O(log n).
    ///
    /// ```
    /// use ctxvars::hash_trie_map::{Entry, HashTrieMap};
    ///
    /// let mut map: HashTrieMap<&str, i32> = HashTrieMap::from([("a", 1)]);
    /// if let Entry::Occupied(entry) = map.entry("a") {
    ///     assert_eq!(entry.remove_entry(), ("a", 1));
    /// }
    /// assert!(map.is_empty());
    /// ```
    pub fn remove_entry(self) -> (K, V) {
        let removed = self.found.remove();
        (removed.key, removed.value)
    }
}

impl<K, V, S> VacantEntry<'_, K, V, S> {
    /// The key that was the argument of [`HashTrieMap::entry`]. O(1).
    ///
    /// ```
    /// use ctxvars::hash_trie_map::{Entry, HashTrieMap};
    ///
    /// let mut map: HashTrieMap<String, i32> = HashTrieMap::new();
    /// if let Entry::Vacant(entry) = map.entry("a".to_owned()) {
    ///     assert_eq!(entry.key(), "a");
    ///     assert_eq!(entry.into_key(), "a"); // not cloned
    /// }
    /// ```
    pub const fn key(&self) -> &K {
        &self.key
    }

    /// Consumes the entry and returns the key. O(1).
    ///
    /// See [`key`](Self::key) for an example.
    pub fn into_key(self) -> K {
        self.key
    }
}

impl<'a, K: Clone, V: Clone, S> VacantEntry<'a, K, V, S> {
    /// Inserts the key with a value, and returns the value mutably. O(log n).
    ///
    /// ```
    /// use ctxvars::hash_trie_map::{Entry, HashTrieMap};
    ///
    /// let mut map: HashTrieMap<&str, i32> = HashTrieMap::new();
    /// if let Entry::Vacant(entry) = map.entry("a") {
    ///     *entry.insert(1) += 1;
    /// }
    /// assert_eq!(map["a"], 2);
    /// ```
    #[inline]
    pub fn insert(self, value: V) -> &'a mut V {
        self.missing.insert(self.key, value).into_value_mut()
    }

    /// Inserts the key with a value, and returns its entry. O(log n).
    ///
    /// ```
    /// use ctxvars::hash_trie_map::{Entry, HashTrieMap};
    ///
    /// let mut map: HashTrieMap<&str, i32> = HashTrieMap::new();
    /// if let Entry::Vacant(entry) = map.entry("a") {
    ///     assert_eq!(entry.insert_entry(1).remove_entry(), ("a", 1));
    /// }
    /// assert!(map.is_empty());
    /// ```
    pub fn insert_entry(self, value: V) -> OccupiedEntry<'a, K, V, S> {
        OccupiedEntry { found: self.missing.insert(self.key, value), _hasher: PhantomData }
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S> fmt::Debug for Entry<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entry = f.debug_tuple("Entry");
        match self {
            Self::Occupied(occupied) => entry.field(occupied),
            Self::Vacant(vacant) => entry.field(vacant),
        };
        entry.finish()
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S> fmt::Debug for OccupiedEntry<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (self.key(), self.get());
        let mut entry = f.debug_struct("OccupiedEntry");
        entry.field("key", key).field("value", value).finish_non_exhaustive()
    }
}

impl<K: fmt::Debug, V, S> fmt::Debug for VacantEntry<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VacantEntry").field(&self.key).finish()
    }
}
