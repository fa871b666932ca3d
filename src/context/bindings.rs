//! The immutable variables of one context.

use super::version::{Version, Versioned};
use crate::map::{EntryOf, Hash, Heap, Insertion, Iter, Slot, Trie};

/// A key of bindings: something with an identity, which never fails to compare.
pub trait Variable {
    /// The hash of the identity.
    fn hash(&self) -> Hash;
    /// Whether both are one and the same variable.
    fn is(&self, other: &Self) -> bool;
}

/// A heap whose nodes can be bindings.
pub trait BindingsHeap: Heap<Tag: Versioned, Key: Variable> {
    /// A version that this heap has not given out before. O(1).
    #[inline]
    fn next_version() -> Version {
        Version::next()
    }
}

/// The variables that have a value in a context, and these values.
///
/// The version of the bindings is kept in the tag of the map's root.
#[repr(transparent)]
pub struct Bindings<H: Heap> {
    trie: Trie<H>,
}

impl<H: Heap> Clone for Bindings<H> {
    #[inline]
    fn clone(&self) -> Self {
        Self { trie: self.trie.clone() }
    }
}

impl<H: Heap> Default for Bindings<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: Heap> Bindings<H> {
    /// Bindings without entries. O(1), allocates nothing.
    pub const fn new() -> Self {
        Self { trie: Trie::new() }
    }

    /// The bindings with this root. O(1).
    #[inline]
    pub const fn from_root(root: Slot<H>) -> Self {
        Self { trie: Trie::from_root(root) }
    }

    /// The root of the map, given away.
    #[inline]
    pub fn into_root(self) -> Slot<H> {
        self.trie.into_root()
    }

    /// The map.
    #[inline]
    pub const fn trie(&self) -> &Trie<H> {
        &self.trie
    }

    /// Number of variables that have a value. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        self.trie.len()
    }

    /// Whether no variable has a value. O(1).
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.trie.is_empty()
    }

    /// All variables and values, in no particular order.
    pub fn iter(&self) -> Iter<'_, H> {
        self.trie.iter()
    }
}

impl<H: BindingsHeap> Bindings<H> {
    /// Tells these bindings from all others. O(1).
    #[inline]
    pub fn version(&self) -> Version {
        self.trie.root().map_or(Version::EMPTY, |root| root.tag().version())
    }

    /// The value of `variable`, `None` if it has none. O(log n).
    ///
    /// # Errors
    ///
    /// None: comparing variables does not fail. The type is that of all operations of the heap.
    #[inline]
    pub fn get(&self, variable: &H::Key) -> Result<Option<&H::Value>, H::Error> {
        let found = self.trie.get(variable.hash(), |stored: &H::Key| Ok(variable.is(stored)))?;
        Ok(found.map(|entry| &entry.value))
    }

    /// Gives `variable` a value and returns the one that it had. O(log n).
    ///
    /// The version changes unless the value is identical to the one before.
    ///
    /// # Errors
    ///
    /// The heap's, if there is no memory; the bindings are as before then.
    #[inline]
    pub fn set(&mut self, variable: H::Key, value: H::Value) -> Result<Option<H::Value>, H::Error> {
        let hash = variable.hash();
        let old = match self.trie.insert(hash, variable, value, |new, old| Ok(new.is(old)))? {
            Insertion::Unchanged(value) => return Ok(Some(value)),
            Insertion::Replaced(old) => Some(old),
            Insertion::Added => None,
        };
        self.renew();
        Ok(old)
    }

    /// Takes the value of `variable` away and returns it, if it had one. O(log n).
    ///
    /// # Errors
    ///
    /// The heap's, if there is no memory; the bindings are as before then.
    pub fn remove(&mut self, variable: &H::Key) -> Result<Option<EntryOf<H>>, H::Error> {
        let removed =
            self.trie.remove(variable.hash(), |stored: &H::Key| Ok(variable.is(stored)))?;
        if removed.is_some() {
            self.renew();
        }
        Ok(removed)
    }

    /// Gives bindings that have just been edited a version of their own.
    #[inline]
    fn renew(&mut self) {
        match self.trie.tag_mut() {
            Some(tag) => tag.set_version(H::next_version()),
            None => debug_assert!(self.is_empty(), "the root of edited bindings is not shared"),
        }
    }
}
