//! [`HashTrieSet`], a persistent hash set: a [`HashTrieMap`] without values.

// | file | concept |
// | --- | --- |
// | `mod.rs` | one item: look-up, insertion, removal |
// | `iter.rs` | the iterators |
// | `set_ops.rs` | operations on whole sets |
// | `traits.rs` | conversion from other collections; `==`, hash and `Debug` |
// | `serde.rs`, `rayon.rs` | the optional features |

mod iter;
#[cfg(feature = "rayon")]
mod rayon;
#[cfg(feature = "serde")]
mod serde;
mod set_ops;
mod traits;

pub use super::hash_trie_map::DefaultHashBuilder;
pub use iter::{Drain, IntoIter, Iter};
#[cfg(feature = "rayon")]
pub use rayon::ParIter;
pub use set_ops::Diff;

use super::hash_trie_map::HashTrieMap;
use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};

/// A persistent hash set: a clone costs O(1) and shares all nodes with the original.
///
/// It is a [`HashTrieMap`] without values, which describes costs, threads, and the order of iteration.
///
/// ```
/// use ctxvars::HashTrieSet;
///
/// let mut primes = HashTrieSet::from([2, 3, 5]);
/// let before = primes.clone();
/// primes.insert(7);
/// assert_eq!(&primes - &before, HashTrieSet::from([7]));
/// ```
///
/// # Costs
///
/// n is the number of items. k is the number of changes between two sets, if one was derived from the
/// other or both from a third set.
///
/// | operation | in place (`&mut self`) | derived (`&self`) | cost |
/// | --- | --- | --- | --- |
/// | lookup | | [`contains`](Self::contains), [`get`](Self::get) | O(log n) |
/// | add | [`insert`](Self::insert), [`replace`](Self::replace) | [`update`](Self::update) | O(log n) |
/// | remove | [`remove`](Self::remove), [`take`](Self::take) | [`without`](Self::without) | O(log n) |
/// | clone | | [`clone`](Clone::clone) | O(1) |
/// | iterate | [`drain`](Self::drain) | [`iter`](Self::iter) | O(n) |
/// | many items | [`extend`](Extend::extend) | [`collect`](FromIterator) | O(n) |
/// | filter | [`retain`](Self::retain), [`extract_if`](Self::extract_if) | [`filter`](Self::filter) | O(n) |
/// | set operations | | [`union`](Self::union), [`intersection`](Self::intersection), [`difference`](Self::difference), [`symmetric_difference`](Self::symmetric_difference) | O(k log n), or O(n) |
/// | compare | | `==`, [`is_subset`](Self::is_subset), [`is_disjoint`](Self::is_disjoint), [`diff`](Self::diff), three-way [`merge`](Self::merge) | O(k log n), or O(n) |
/// | compare roots | | [`ptr_eq`](Self::ptr_eq) | O(1) |
pub struct HashTrieSet<T, S = DefaultHashBuilder> {
    map: HashTrieMap<T, (), S>,
}

impl<T, S: Clone> Clone for HashTrieSet<T, S> {
    /// A set that shares all nodes with this set. O(1), without an allocation.
    #[inline]
    fn clone(&self) -> Self {
        Self { map: self.map.clone() }
    }
}

impl<T, S: Default> Default for HashTrieSet<T, S> {
    /// An empty set. O(1), without an allocation.
    fn default() -> Self {
        Self { map: HashTrieMap::default() }
    }
}

impl<T> HashTrieSet<T> {
    /// An empty set with the [`DefaultHashBuilder`]. O(1), without an allocation.
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// static EMPTY: HashTrieSet<u32> = HashTrieSet::new();
    /// assert!(EMPTY.is_empty());
    /// ```
    pub const fn new() -> Self {
        Self { map: HashTrieMap::new() }
    }

    /// An empty set. The capacity has no effect: see [`HashTrieMap::reserve`].
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// assert!(HashTrieSet::<u32>::with_capacity(100).is_empty());
    /// ```
    pub const fn with_capacity(capacity: usize) -> Self {
        Self { map: HashTrieMap::with_capacity(capacity) }
    }
}

impl<T, S> HashTrieSet<T, S> {
    /// An empty set that hashes with `hasher`: see [`HashTrieMap::with_hasher`]. O(1).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    /// use std::hash::RandomState;
    ///
    /// let mut set = HashTrieSet::with_hasher(RandomState::new());
    /// assert!(set.insert("item"));
    /// ```
    pub const fn with_hasher(hasher: S) -> Self {
        Self { map: HashTrieMap::with_hasher(hasher) }
    }

    /// An empty set that hashes with `hasher`. The capacity has no effect: see
    /// [`HashTrieMap::reserve`].
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    /// use std::hash::RandomState;
    ///
    /// let mut set = HashTrieSet::with_capacity_and_hasher(100, RandomState::new());
    /// assert!(set.insert("item"));
    /// ```
    pub const fn with_capacity_and_hasher(capacity: usize, hasher: S) -> Self {
        Self { map: HashTrieMap::with_capacity_and_hasher(capacity, hasher) }
    }

    /// Does nothing: see [`HashTrieMap::reserve`].
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let mut set = HashTrieSet::from([1]);
    /// set.reserve(100);
    /// assert_eq!(set.len(), 1);
    /// ```
    pub const fn reserve(&mut self, additional: usize) {
        self.map.reserve(additional);
    }

    /// Does nothing: see [`HashTrieMap::shrink_to_fit`].
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let mut set = HashTrieSet::from([1]);
    /// set.shrink_to_fit();
    /// assert_eq!(set.len(), 1);
    /// ```
    pub const fn shrink_to_fit(&mut self) {
        self.map.shrink_to_fit();
    }

    /// The hasher of the set. O(1).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    /// use std::hash::BuildHasher;
    ///
    /// let set = HashTrieSet::from(["item"]);
    /// let hash = set.hasher().hash_one("item");
    /// ```
    pub const fn hasher(&self) -> &S {
        self.map.hasher()
    }

    /// The number of items. O(1).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// assert_eq!(HashTrieSet::from(["a", "b", "a"]).len(), 2);
    /// ```
    #[inline]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there are no items. O(1).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// assert!(HashTrieSet::<u32>::new().is_empty());
    /// ```
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Removes all items. O(n), or less if other sets share nodes.
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let mut set = HashTrieSet::from(["a"]);
    /// set.clear();
    /// assert!(set.is_empty());
    /// ```
    pub fn clear(&mut self) {
        self.map.clear();
    }

    /// Whether both sets have the same root node, and so the same items. O(1).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let set = HashTrieSet::from(["a"]);
    /// assert!(set.ptr_eq(&set.clone()));
    /// assert!(!set.ptr_eq(&HashTrieSet::from(["a"])));
    /// ```
    #[inline]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.map.ptr_eq(&other.map)
    }

    /// Panics unless the set keeps the invariants in the documentation of [`map`](crate::map). O(n).
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        self.map.check_invariants();
    }
}

impl<T: Eq + Hash, S: BuildHasher> HashTrieSet<T, S> {
    /// Whether the set has `item`. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let set = HashTrieSet::from(["a".to_owned()]);
    /// assert!(set.contains("a") && !set.contains("b"));
    /// ```
    #[inline]
    pub fn contains<Q>(&self, item: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.map.contains_key(item)
    }

    /// The stored item that is equal to `item`, or `None`. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let names = HashTrieSet::from(["ann".to_owned()]);
    /// assert_eq!(names.get("ann").map(String::len), Some(3));
    /// ```
    #[inline]
    pub fn get<Q>(&self, item: &Q) -> Option<&T>
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.map.get_key_value(item).map(|(stored, ())| stored)
    }
}

impl<T: Clone + Eq + Hash, S: BuildHasher> HashTrieSet<T, S> {
    /// Adds `item`, and returns whether it is new. O(log n).
    ///
    /// If the set has an equal item already, the stored item stays, and `item` is dropped.
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let mut set = HashTrieSet::new();
    /// assert!(set.insert("a"));
    /// assert!(!set.insert("a"));
    /// ```
    #[inline]
    pub fn insert(&mut self, item: T) -> bool {
        self.map.insert(item, ()).is_none()
    }

    /// Adds `item` in place of an equal item, which is returned. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let mut set = HashTrieSet::from([String::from("a")]);
    /// let roomy = String::with_capacity(100) + "a";
    /// assert_eq!(set.replace(roomy), Some("a".to_owned()));
    /// assert!(set.get("a").is_some_and(|stored| stored.capacity() >= 100));
    /// ```
    pub fn replace(&mut self, item: T) -> Option<T> {
        let old = self.take(&item);
        self.insert(item);
        old
    }

    /// A copy of this set that has `item`. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let before = HashTrieSet::from(["a"]);
    /// assert_eq!((before.update("b").len(), before.len()), (2, 1));
    /// ```
    #[must_use = "the set itself does not change"]
    pub fn update(&self, item: T) -> Self
    where
        S: Clone,
    {
        Self { map: self.map.update(item, ()) }
    }

    /// Removes `item`, and returns whether the set had it. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let mut set = HashTrieSet::from(["a"]);
    /// assert!(set.remove("a"));
    /// assert!(!set.remove("a"));
    /// ```
    pub fn remove<Q>(&mut self, item: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.map.remove(item).is_some()
    }

    /// Removes and returns the stored item that is equal to `item`, or `None`. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let mut set = HashTrieSet::from(["a".to_owned()]);
    /// assert_eq!(set.take("a"), Some("a".to_owned()));
    /// assert_eq!(set.take("a"), None);
    /// ```
    pub fn take<Q>(&mut self, item: &Q) -> Option<T>
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.map.remove_entry(item).map(|(stored, ())| stored)
    }

    /// A copy of this set without `item`. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let before = HashTrieSet::from(["a", "b"]);
    /// assert_eq!(before.without("b"), HashTrieSet::from(["a"]));
    /// assert!(before.without("c").ptr_eq(&before));
    /// ```
    #[must_use = "the set itself does not change"]
    pub fn without<Q>(&self, item: &Q) -> Self
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        S: Clone,
    {
        Self { map: self.map.without(item) }
    }
}
