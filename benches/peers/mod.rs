//! The maps that are measured, each by its own best means, behind one trait.
//!
//! All of them hash with the same function, share nodes by the reference counts that suit them
//! best, and hold numbers as values.

use crate::workload::Key;
use archery::ArcTK;
use foldhash::fast::{FixedState, FoldHasher};
use std::hash::BuildHasher;

/// Builds the hashers of all maps. It has no state, so that any two maps hash alike and our library
/// can see that they do, as with its default hasher.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fold;

impl BuildHasher for Fold {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> FoldHasher<'static> {
        FixedState::default().build_hasher()
    }
}

/// A map from keys of one kind to numbers, from which another one can be derived.
pub(crate) trait Subject<K: Key>: Default + PartialEq + FromIterator<(K, u64)> {
    const NAME: &'static str;

    fn get(&self, key: &K) -> Option<&u64>;

    /// Puts a value into this very map.
    fn insert(&mut self, key: K, value: u64);

    /// This map with one entry more, or with another value.
    fn with(&self, key: K, value: u64) -> Self;

    /// This map with one entry less.
    fn without(&self, key: &K) -> Self;

    fn pairs<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a u64)>
    where
        K: 'a;

    /// The number of entries that differ, if the library can tell.
    fn differences(&self, _: &Self) -> Option<usize> {
        None
    }
}

pub(crate) type Ours<K> = ctxvars::HashTrieMap<K, u64, Fold>;

impl<K: Key> Subject<K> for Ours<K> {
    const NAME: &'static str = "ctxvars";

    fn get(&self, key: &K) -> Option<&u64> {
        self.get(key)
    }

    fn insert(&mut self, key: K, value: u64) {
        self.insert(key, value);
    }

    fn with(&self, key: K, value: u64) -> Self {
        self.update(key, value)
    }

    fn without(&self, key: &K) -> Self {
        self.without(key)
    }

    fn pairs<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a u64)>
    where
        K: 'a,
    {
        self.iter()
    }

    fn differences(&self, other: &Self) -> Option<usize> {
        Some(self.diff(other).len())
    }
}

pub(crate) type Imbl<K> = imbl::GenericHashMap<K, u64, Fold, ArcTK>;

impl<K: Key> Subject<K> for Imbl<K> {
    const NAME: &'static str = "imbl";

    fn get(&self, key: &K) -> Option<&u64> {
        self.get(key)
    }

    fn insert(&mut self, key: K, value: u64) {
        self.insert(key, value);
    }

    fn with(&self, key: K, value: u64) -> Self {
        self.update(key, value)
    }

    fn without(&self, key: &K) -> Self {
        self.without(key)
    }

    fn pairs<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a u64)>
    where
        K: 'a,
    {
        self.iter()
    }
}

pub(crate) type Rpds<K> = rpds::HashTrieMap<K, u64, ArcTK, Fold>;

impl<K: Key> Subject<K> for Rpds<K> {
    const NAME: &'static str = "rpds";

    fn get(&self, key: &K) -> Option<&u64> {
        self.get(key)
    }

    fn insert(&mut self, key: K, value: u64) {
        self.insert_mut(key, value);
    }

    fn with(&self, key: K, value: u64) -> Self {
        self.insert(key, value)
    }

    fn without(&self, key: &K) -> Self {
        self.remove(key)
    }

    fn pairs<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a u64)>
    where
        K: 'a,
    {
        self.iter()
    }
}

pub(crate) type Im<K> = im::HashMap<K, u64, Fold>;

impl<K: Key> Subject<K> for Im<K> {
    const NAME: &'static str = "im";

    fn get(&self, key: &K) -> Option<&u64> {
        self.get(key)
    }

    fn insert(&mut self, key: K, value: u64) {
        self.insert(key, value);
    }

    fn with(&self, key: K, value: u64) -> Self {
        self.update(key, value)
    }

    fn without(&self, key: &K) -> Self {
        self.without(key)
    }

    fn pairs<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a u64)>
    where
        K: 'a,
    {
        self.iter()
    }
}

/// What programs do that have no persistent map: copy all of it, and modify the copy.
pub(crate) type Copied<K> = std::collections::HashMap<K, u64, Fold>;

impl<K: Key> Subject<K> for Copied<K> {
    const NAME: &'static str = "std";

    fn get(&self, key: &K) -> Option<&u64> {
        self.get(key)
    }

    fn insert(&mut self, key: K, value: u64) {
        self.insert(key, value);
    }

    fn with(&self, key: K, value: u64) -> Self {
        let mut copy = self.clone();
        copy.insert(key, value);
        copy
    }

    fn without(&self, key: &K) -> Self {
        let mut copy = self.clone();
        copy.remove(key);
        copy
    }

    fn pairs<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a u64)>
    where
        K: 'a,
    {
        self.iter()
    }
}
