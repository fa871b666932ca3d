//! The immutable values of one context.

use super::version::{Version, Versioned};
use crate::map::{
    ArcHeap, CloningHeap, Compare, Conflict, EntryOf, Hash, Heap, InPlace, Insertion, Iter,
    LowWord, NodeRef, Probe, Shape, Slot, Trie,
};
use std::borrow::Borrow;
use std::sync::atomic::AtomicUsize;

/// A variable of bindings: it is compared by identity, which never fails.
///
/// ```
/// use ctxvars::context::Variable;
/// use ctxvars::map::{Hash, LowWord};
///
/// /// A variable of an interpreter, which numbers its variables.
/// #[derive(Clone)]
/// struct Global(u32);
///
/// impl Variable for Global {
///     fn hash<L: LowWord>(&self) -> Hash<L> {
///         Hash::mix(u64::from(self.0))
///     }
///
///     fn is(&self, other: &Self) -> bool {
///         self.0 == other.0
///     }
/// }
///
/// assert!(Global(1).is(&Global(1)) && !Global(1).is(&Global(2)));
/// ```
pub trait Variable {
    /// The hash of the identity.
    fn hash<L: LowWord>(&self) -> Hash<L>;
    /// Whether both are the same variable.
    fn is(&self, other: &Self) -> bool;
}

/// A heap for bindings.
///
/// Every [`ArcHeap`] whose tag is [`Versioned`] and whose keys are [`Variable`]s is one:
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// use ctxvars::context::BindingsHeap;
///
/// assert_ne!(Globals::next_version(), Globals::next_version());
/// ```
///
/// The keys of a heap need not all be variables: maps that are not bindings may have other keys. Only
/// a [`Variable`](Self::Variable) has a hash, so no other key is hashed as a variable.
pub trait BindingsHeap: CloningHeap<Tag: Versioned> {
    /// The variables: some or all keys of the heap.
    type Variable: Variable + Clone + Borrow<Self::Key> + Into<Self::Key>;

    /// The variable that a key of bindings is. O(1).
    ///
    /// # Errors
    ///
    /// The key is not a variable.
    fn variable(key: &Self::Key) -> Result<&Self::Variable, Self::Error>;

    /// Whether two keys are the same object. O(1).
    fn is_same_key(a: &Self::Key, b: &Self::Key) -> bool;

    /// A new version. O(1).
    #[inline]
    fn next_version() -> Version {
        Version::next()
    }

    /// Where to look for a variable in its leaf first: the index at which it was found last. `None` if
    /// the heap does not remember that.
    #[doc(hidden)]
    #[inline]
    fn hint(_variable: &Self::Variable) -> Option<&AtomicUsize> {
        None
    }
}

impl<K, V, T, E, S> BindingsHeap for ArcHeap<K, V, T, E, S>
where
    K: Clone + Variable,
    V: Clone,
    T: Default + Versioned,
    S: Shape,
{
    type Variable = K;

    #[inline]
    fn variable(key: &K) -> Result<&K, E> {
        Ok(key)
    }

    #[inline]
    fn is_same_key(a: &K, b: &K) -> bool {
        a.is(b)
    }
}

/// The variables that are set in a context, with their values.
///
/// The version of the bindings is in the tag of the map's root.
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// let mut bindings: Bindings<Globals> = Bindings::new();
/// let Ok(old) = bindings.set(Global(1), "one");
/// assert_eq!(old, None);
/// let before = bindings.clone(); // O(1)
/// let Ok(old) = bindings.set(Global(1), "two");
/// assert_eq!(old, Some("one"));
/// assert_eq!(before.get(&Global(1)), Ok(Some(&"one")));
/// assert_ne!(before.version(), bindings.version());
/// ```
///
/// The examples of the methods share hidden definitions: `Global` is the example of [`Variable`], and
/// `Globals` is `ArcHeap<Global, &'static str, Version>`.
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
    /// Empty bindings. O(1), without an allocation.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// assert_eq!(Bindings::<Globals>::new().version(), Version::EMPTY);
    /// ```
    pub const fn new() -> Self {
        Self { trie: Trie::new() }
    }

    /// The bindings with this root, which was the root of bindings. O(1).
    #[inline]
    pub(crate) const fn from_root(root: Slot<H>) -> Self {
        Self { trie: Trie::from_root(root) }
    }

    /// The root of the map, `None` if it is empty.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let mut bindings: Bindings<Globals> = Bindings::new();
    /// assert!(bindings.root().is_none());
    /// let Ok(_) = bindings.set(Global(1), "one");
    /// assert_eq!(bindings.root().map(|root| *root.tag()), Some(bindings.version()));
    /// ```
    #[inline]
    pub const fn root(&self) -> Option<&NodeRef<H>> {
        self.trie.root()
    }

    /// The map.
    #[inline]
    pub(super) const fn trie(&self) -> &Trie<H> {
        &self.trie
    }

    /// Consumes the bindings and returns the root of the map.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let mut bindings: Bindings<Globals> = Bindings::new();
    /// let Ok(_) = bindings.set(Global(1), "one");
    /// let version = bindings.version();
    /// let root = bindings.into_root().expect("there is an entry");
    /// assert_eq!(*root.tag(), version);
    /// ```
    #[inline]
    pub fn into_root(self) -> Slot<H> {
        self.trie.into_root()
    }

    /// The number of variables that are set. O(1).
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let mut bindings: Bindings<Globals> = Bindings::new();
    /// let Ok(_) = bindings.set(Global(1), "one");
    /// assert_eq!(bindings.len(), 1);
    /// ```
    #[inline]
    pub fn len(&self) -> usize {
        self.trie.len()
    }

    /// Whether no variable is set. O(1).
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// assert!(Bindings::<Globals>::new().is_empty());
    /// ```
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.trie.is_empty()
    }

    /// Iterates over all variables and values, in an unspecified order. O(n).
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let mut bindings: Bindings<Globals> = Bindings::new();
    /// let Ok(_) = bindings.set(Global(1), "one");
    /// assert!(bindings.iter().map(|(_, entry)| (entry.key.0, entry.value)).eq([(1, "one")]));
    /// ```
    pub fn iter(&self) -> Iter<'_, H> {
        self.trie.iter()
    }
}

/// A probe that compares variables by identity, without comparing the low words of hashes.
struct Is<'a, K>(&'a K);

impl<H: BindingsHeap> Probe<H> for Is<'_, H::Key> {
    #[inline]
    fn matches(&mut self, stored: &H::Key, _: impl Fn() -> bool) -> Result<bool, H::Error> {
        Ok(H::is_same_key(self.0, stored))
    }
}

impl<H: BindingsHeap> Bindings<H> {
    /// The version, which identifies these bindings. O(1).
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let mut bindings: Bindings<Globals> = Bindings::new();
    /// let Ok(_) = bindings.set(Global(1), "one");
    /// let version = bindings.version();
    /// let Ok(_) = bindings.set(Global(1), "two");
    /// assert_ne!(bindings.version(), version);
    /// ```
    #[inline]
    pub fn version(&self) -> Version {
        self.trie.root().map_or(Version::EMPTY, |root| root.tag().version())
    }

    /// The value of `variable`, or `None` if it is not set. O(log n).
    ///
    /// # Errors
    ///
    /// Never: comparing variables does not fail.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let mut bindings: Bindings<Globals> = Bindings::new();
    /// let Ok(_) = bindings.set(Global(1), "one");
    /// assert_eq!(bindings.get(&Global(1)), Ok(Some(&"one")));
    /// assert_eq!(bindings.get(&Global(2)), Ok(None));
    /// ```
    #[inline]
    pub fn get(&self, variable: &H::Variable) -> Result<Option<&H::Value>, H::Error> {
        let found = self.trie.get(variable.hash(), Is(variable.borrow()))?;
        Ok(found.map(|entry| &entry.value))
    }

    /// Sets `variable` and returns its old value. O(log n).
    ///
    /// The version changes, unless the old value is identical.
    ///
    /// # Errors
    ///
    /// An allocation failed. The values are unchanged; the version may be another one.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let mut bindings: Bindings<Globals> = Bindings::new();
    /// assert_eq!(bindings.set(Global(1), "one"), Ok(None));
    /// assert_eq!(bindings.set(Global(1), "two"), Ok(Some("one")));
    /// ```
    #[inline]
    pub fn set(
        &mut self,
        variable: H::Variable,
        value: H::Value,
    ) -> Result<Option<H::Value>, H::Error> {
        match self.replace(&variable, value)? {
            Ok(old) => Ok(Some(old)),
            Err(value) => self.insert(variable, value),
        }
    }

    /// As [`set`](Self::set), with a borrowed variable.
    #[inline]
    pub(super) fn set_by_reference(
        &mut self,
        variable: &H::Variable,
        value: H::Value,
    ) -> Result<Option<H::Value>, H::Error> {
        match self.replace(variable, value)? {
            Ok(old) => Ok(Some(old)),
            Err(value) => self.insert(variable.clone(), value),
        }
    }

    /// As [`set`](Self::set), for bindings that are likely to be shared.
    #[cfg(feature = "python")]
    #[inline(always)] // Calls would slow the first `set` in a context down by 1 %.
    pub(crate) fn set_in_copy(
        &mut self,
        variable: &H::Variable,
        value: H::Value,
    ) -> Result<Option<H::Value>, H::Error> {
        match self.replace_in_copy(variable, value)? {
            Ok(old) => Ok(Some(old)),
            Err(value) => self.insert(variable.clone(), value),
        }
    }

    /// Replaces the value of `variable`, and returns the old one; or the new one, if only
    /// [`insert`](Self::insert) can do it.
    #[inline]
    fn replace(
        &mut self,
        variable: &H::Variable,
        value: H::Value,
    ) -> Result<Result<H::Value, H::Value>, H::Error> {
        // If no other bindings share the node, most calls only replace a value.
        match self.replace_in_place(variable, value)? {
            InPlace::Replaced { old, .. } | InPlace::Unchanged(old) => Ok(Ok(old)),
            InPlace::Impossible(value) => self.replace_in_copy(variable, value),
        }
    }

    /// As [`replace`](Self::replace), if other bindings share the node.
    #[inline(always)] // Calls would slow the first `set` in a context down by 1 %.
    fn replace_in_copy(
        &mut self,
        variable: &H::Variable,
        value: H::Value,
    ) -> Result<Result<H::Value, H::Value>, H::Error> {
        let Some(hint) = H::hint(variable) else { return Ok(Err(value)) };
        let probe = Is(variable.borrow());
        let replaced = self.trie.replace_in_leaf(variable.hash(), probe, hint, value)?;
        if replaced.is_ok() {
            self.assign_missing_version();
        }
        Ok(replaced)
    }

    #[inline]
    fn insert(
        &mut self,
        variable: H::Variable,
        value: H::Value,
    ) -> Result<Option<H::Value>, H::Error> {
        let hash = variable.hash();
        let same = |new: &H::Key, old: &H::Key| Ok(H::is_same_key(new, old));
        let inserted = self.trie.insert(hash, variable.into(), value, same);
        self.assign_missing_version();
        Ok(match inserted? {
            Insertion::Replaced(old) | Insertion::Unchanged(old) => Some(old),
            Insertion::Added => None,
        })
    }

    /// Replaces the value of `variable` where it is, if other bindings do not share its node.
    #[inline]
    pub(crate) fn replace_in_place(
        &mut self,
        variable: &H::Variable,
        value: H::Value,
    ) -> Result<InPlace<H>, H::Error> {
        let probe = Is(variable.borrow());
        let hint = H::hint(variable);
        let result = self.trie.replace_in_place(variable.hash(), probe, hint, value);
        if let Ok(InPlace::Replaced { .. }) = result {
            if let Some(tag) = self.trie.tag_mut() {
                tag.set_version_in_place(H::next_version());
            }
        }
        result
    }

    /// Removes `variable` and returns its entry, or `None` if it is not set. O(log n).
    ///
    /// # Errors
    ///
    /// An allocation failed. The values are unchanged; the version may be another one.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let mut bindings: Bindings<Globals> = Bindings::new();
    /// let Ok(_) = bindings.set(Global(1), "one");
    /// let Ok(removed) = bindings.remove(&Global(1));
    /// assert_eq!(removed.map(|entry| entry.value), Some("one"));
    /// assert_eq!(bindings.version(), Version::EMPTY);
    /// ```
    pub fn remove(&mut self, variable: &H::Variable) -> Result<Option<EntryOf<H>>, H::Error> {
        let removed = self.trie.remove(variable.hash(), Is(variable.borrow()));
        self.assign_missing_version();
        removed
    }

    /// A three-way merge: these bindings, the base, with the changes that led to `ours` and the
    /// changes that led to `theirs`. O(changes x log n).
    ///
    /// `resolve` is called for each variable that both have changed in different ways. It returns the
    /// value to keep, or `None` to leave the variable unset.
    ///
    /// # Errors
    ///
    /// The first error of a comparison, of `resolve` or of the heap.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// use ctxvars::map::Compare;
    ///
    /// struct ByEq;
    ///
    /// impl Compare<Globals> for ByEq {
    ///     fn same(&mut self, a: &Global, b: &Global) -> Result<bool, Infallible> {
    ///         Ok(a.is(b))
    ///     }
    ///
    ///     fn equal(&mut self, a: &&'static str, b: &&'static str) -> Result<bool, Infallible> {
    ///         Ok(a == b)
    ///     }
    /// }
    ///
    /// let mut base: Bindings<Globals> = Bindings::new();
    /// let Ok(_) = base.set(Global(1), "one");
    /// let (mut ours, mut theirs) = (base.clone(), base.clone());
    /// let Ok(_) = ours.set(Global(2), "two");
    /// let Ok(_) = theirs.set(Global(1), "three");
    /// let Ok(merged) = base.merge(&ours, &theirs, &mut ByEq, |_| unreachable!("no conflict"));
    /// assert_eq!(merged.get(&Global(1)), Ok(Some(&"three")));
    /// assert_eq!(merged.get(&Global(2)), Ok(Some(&"two")));
    /// assert!(![base, ours, theirs].iter().any(|it| it.version() == merged.version()));
    /// ```
    pub fn merge(
        &self,
        ours: &Self,
        theirs: &Self,
        compare: &mut impl Compare<H>,
        resolve: impl FnMut(Conflict<'_, H>) -> Result<Option<H::Value>, H::Error>,
    ) -> Result<Self, H::Error> {
        let trie = self.trie.merge(&ours.trie, &theirs.trie, compare, resolve)?;
        let mut merged = Self { trie };
        merged.assign_missing_version();
        Ok(merged)
    }

    /// Sets a new version if the root has none: an edit has made the root, or has reset its tag. A
    /// failed edit may have done so, too. A root that was not edited keeps its version.
    #[inline]
    fn assign_missing_version(&mut self) {
        if self.version() == Version::EMPTY {
            match self.trie.tag_mut() {
                Some(tag) => tag.set_version(H::next_version()),
                None => debug_assert!(self.is_empty(), "a root without a version is not shared"),
            }
        }
    }
}
