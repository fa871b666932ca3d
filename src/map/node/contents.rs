//! The contents of a node: the entries of a leaf or the children of a branch.

#![allow(unsafe_code)] // Reads slots as children where the bits of the branch say so.

use super::reference::NodeRef;
use super::{EntryOf, Node, Slot};
use crate::map::fingerprints::Fingerprints;
use crate::map::hash::HighWord;
use crate::map::heap::Heap;
use crate::map::levels::HashOf;
use core::ops::Range;

/// The entries of a leaf, sorted by hash, and the words of their hashes.
///
/// See [`Contents`] for an example.
pub struct Leaf<'a, H: Heap> {
    pub(crate) highs: &'a [HighWord],
    pub(crate) lows: &'a [H::LowWord],
    pub(crate) entries: &'a [EntryOf<H>],
    /// The fingerprints, if the shape has them and they fit.
    pub(crate) fingerprints: Option<&'a Fingerprints>,
}

impl<H: Heap> Clone for Leaf<'_, H> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<H: Heap> Copy for Leaf<'_, H> {}

/// The children of a branch, each in the slots of its fragments.
///
/// See [`Contents`] for an example.
pub struct Children<'a, H: Heap> {
    pub(super) slots: &'a [Slot<H>],
    pub(super) occupied: u16,
}

/// The contents of a node.
///
/// ```
#[doc = include_str!("../doc_prelude.txt")]
/// use ctxvars::map::{Contents, Node, NodeRef};
///
/// /// The number of leaves below a node.
/// fn leaves(node: &NodeRef<Numbers>) -> usize {
///     // SAFETY: the reference keeps the node alive, and unchanged while it is borrowed.
///     match unsafe { Node::contents(node.as_ptr()) } {
///         Contents::Leaf(leaf) => usize::from(!leaf.entries().is_empty()),
///         Contents::Branch(children) => children.iter().map(leaves).sum(),
///     }
/// }
///
/// assert_eq!(map([(1, 1), (2, 4)]).root().map(leaves), Some(1));
/// let many: [(u32, u32); 100] = std::array::from_fn(|n| (n as u32, 0));
/// assert!(map(many).root().map(leaves) > Some(100 / 16));
/// ```
pub enum Contents<'a, H: Heap> {
    /// Entries.
    Leaf(Leaf<'a, H>),
    /// Nodes.
    Branch(Children<'a, H>),
}

impl<'a, H: Heap> Children<'a, H> {
    /// The child for a fragment.
    #[inline]
    pub(crate) fn get(&self, fragment: usize) -> Option<&'a NodeRef<H>> {
        self.slots[fragment].as_ref()
    }

    /// The contents of the child for a fragment.
    #[inline]
    pub(crate) fn contents_at(&self, fragment: usize) -> Option<Contents<'a, H>> {
        let child = self.get(fragment)?;
        // SAFETY: the branch keeps its child alive and unchanged, and no child is a root.
        Some(unsafe { Node::contents_of(child.as_ptr(), false) })
    }

    /// The first child that begins at the slot `fragment`, or after it.
    #[inline]
    pub(crate) fn first_from(&self, fragment: usize) -> Option<&'a NodeRef<H>> {
        // The fragment may be 16, so the shift needs a wider integer.
        let rest = u32::from(self.occupied) >> fragment;
        if rest == 0 { None } else { self.get(fragment + rest.trailing_zeros() as usize) }
    }

    /// A bit for each slot where a child begins.
    #[inline]
    pub(crate) fn occupied(&self) -> u16 {
        self.occupied
    }

    /// All children, in the order of their fragments.
    ///
    /// See [`Contents`] for an example.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &'a NodeRef<H>> + use<'a, H> {
        let slots = self.slots.as_ptr().cast::<NodeRef<H>>();
        // SAFETY: `occupied` has bits of slots that hold a child only, and a child is a non-null
        // pointer, so the slot has the bits of a `NodeRef`.
        fragments(self.occupied).map(move |fragment| unsafe { &*slots.add(fragment) })
    }
}

/// The positions of the bits that are set, in ascending order.
#[inline]
pub(crate) fn fragments(bits: impl Into<u32>) -> impl Iterator<Item = usize> {
    let mut bits = bits.into();
    core::iter::from_fn(move || {
        if bits == 0 {
            return None;
        }
        let fragment = bits.trailing_zeros() as usize;
        bits &= bits - 1;
        Some(fragment)
    })
}

impl<'a, H: Heap> Leaf<'a, H> {
    /// A part of the leaf.
    #[inline]
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        let highs = &self.highs[range.clone()];
        let (lows, entries) = (&self.lows[range.clone()], &self.entries[range]);
        Self { highs, lows, entries, fingerprints: None }
    }

    /// A leaf without entries.
    pub(crate) const fn empty() -> Self {
        Self { highs: &[], lows: &[], entries: &[], fingerprints: None }
    }

    /// The hash of the entry at `index`.
    #[inline]
    pub(crate) fn hash(&self, index: usize) -> HashOf<H> {
        HashOf::<H> { high: self.highs[index], low: self.lows[index] }
    }

    /// The hash of the first entry, if there is one.
    #[inline]
    pub(crate) fn first_hash(&self) -> Option<HashOf<H>> {
        (!self.highs.is_empty()).then(|| self.hash(0))
    }

    /// The entries.
    ///
    /// See [`Contents`] for an example.
    #[inline]
    pub const fn entries(&self) -> &'a [EntryOf<H>] {
        self.entries
    }
}
