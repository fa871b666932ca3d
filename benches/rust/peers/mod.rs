//! The maps that are measured, behind one trait, each with its fastest configuration.
//!
//! All of them use the same hash function and hold numbers as values. Each uses the reference counts
//! with which it is fastest.

use crate::workload::Key;
use archery::ArcTK;
use foldhash::fast::{FixedState, FoldHasher};
use std::hash::BuildHasher;

/// Builds the hashers of all maps. It has no state, so two maps are known to hash alike, as with the
/// default hasher of `ctxvars`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fold;

impl BuildHasher for Fold {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> FoldHasher<'static> {
        FixedState::default().build_hasher()
    }
}

/// A map from keys of one kind to numbers, from which other maps can be derived.
pub(crate) trait Subject<K: Key>: Default + PartialEq + FromIterator<(K, u64)> {
    const NAME: &'static str;

    fn get(&self, key: &K) -> Option<&u64>;

    /// Sets a value in place.
    fn insert(&mut self, key: K, value: u64);

    /// Removes a key in place.
    fn remove(&mut self, key: &K);

    /// Adds one to the value of a key, which is 0 if the map does not have the key.
    fn count(&mut self, key: K);

    /// Adds entries in place.
    fn extend_by(&mut self, entries: impl Iterator<Item = (K, u64)>);

    /// A copy of this map with one more entry, or with another value.
    fn with(&self, key: K, value: u64) -> Self;

    /// A copy of this map without one entry.
    fn without(&self, key: &K) -> Self;

    fn pairs<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a u64)>
    where
        K: 'a;

    /// The number of entries that differ, if the library has a diff.
    fn differences(&self, _: &Self) -> Option<usize> {
        None
    }
}

/// Implements the trait for a library: the names of its methods to insert and to remove in place, its
/// ways to count and to extend, to derive a map with or without an entry, and other methods that it has.
macro_rules! subject {
    (
        $map:ident, $name:literal, $insert:ident, $remove:ident,
        |$counted:ident, $counter:ident| $count:expr,
        |$extended:ident, $added:ident| $extend:expr,
        |$with:ident, $new:ident, $value:ident| $derived:expr,
        |$without:ident, $old:ident| $rest:expr
        $(, $more:item)?
    ) => {
        impl<K: Key> Subject<K> for $map<K> {
            const NAME: &'static str = $name;

            fn get(&self, key: &K) -> Option<&u64> {
                self.get(key)
            }

            fn insert(&mut self, key: K, value: u64) {
                self.$insert(key, value);
            }

            fn remove(&mut self, key: &K) {
                self.$remove(key);
            }

            fn count(&mut self, $counter: K) {
                let $counted = self;
                $count
            }

            fn extend_by(&mut self, $added: impl Iterator<Item = (K, u64)>) {
                let $extended = self;
                $extend
            }

            fn with(&self, $new: K, $value: u64) -> Self {
                let $with = self;
                $derived
            }

            fn without(&self, $old: &K) -> Self {
                let $without = self;
                $rest
            }

            fn pairs<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a u64)>
            where
                K: 'a,
            {
                self.iter()
            }

            $($more)?
        }
    };
}

pub(crate) type Ours<K> = ctxvars::HashTrieMap<K, u64, Fold>;
pub(crate) type Imbl<K> = imbl::GenericHashMap<K, u64, Fold, ArcTK>;
pub(crate) type Rpds<K> = rpds::HashTrieMap<K, u64, ArcTK, Fold>;
pub(crate) type Im<K> = im::HashMap<K, u64, Fold>;
/// A standard map that is copied as a whole and then modified, as in programs without persistent maps.
pub(crate) type Copied<K> = std::collections::HashMap<K, u64, Fold>;

subject!(
    Ours,
    "ctxvars",
    insert,
    remove,
    |map, key| *map.entry(key).or_insert(0) += 1,
    |map, entries| map.extend(entries),
    |map, key, value| map.update(key, value),
    |map, key| map.without(key),
    fn differences(&self, other: &Self) -> Option<usize> {
        Some(self.diff(other).len())
    }
);
subject!(
    Imbl,
    "imbl",
    insert,
    remove,
    |map, key| *map.entry(key).or_insert(0) += 1,
    |map, entries| map.extend(entries),
    |map, key, value| map.update(key, value),
    |map, key| map.without(key)
);
subject!(
    Rpds,
    "rpds",
    insert_mut,
    remove_mut,
    |map, key| match map.get_mut(&key) {
        Some(value) => *value += 1,
        None => map.insert_mut(key, 1),
    },
    |map, entries| entries.for_each(|(key, value)| map.insert_mut(key, value)),
    |map, key, value| map.insert(key, value),
    |map, key| map.remove(key)
);
subject!(
    Im,
    "im",
    insert,
    remove,
    |map, key| *map.entry(key).or_insert(0) += 1,
    |map, entries| map.extend(entries),
    |map, key, value| map.update(key, value),
    |map, key| map.without(key)
);
subject!(
    Copied,
    "std",
    insert,
    remove,
    |map, key| *map.entry(key).or_insert(0) += 1,
    |map, entries| map.extend(entries),
    |map, key, value| {
        let mut copy = map.clone();
        copy.insert(key, value);
        copy
    },
    |map, key| {
        let mut copy = map.clone();
        copy.remove(key);
        copy
    }
);
