//! The layout of a node in memory: see the drawing in the [module](super).

use super::{EntryOf, Node, Slot};
use crate::map::hash::HighWord;
use crate::map::heap::Heap;
use crate::map::tuning::{LONG_LEAF, Shape as _};
use alloc::alloc::Layout;

/// The argument of [`Heap::allocate`]: the memory of a node, and whether it will be a root.
///
/// See [`Node`] for an example.
#[derive(Clone, Copy)]
pub struct NodeLayout {
    /// Size and alignment.
    pub memory: Layout,
    /// Whether the node is the root of a map, and so has a tag.
    pub is_root: bool,
}

impl<H: Heap> Node<H> {
    /// Slots of a branch.
    pub(crate) const FANOUT: usize = {
        assert!(H::Shape::FRAGMENT_BITS > 0, "a branch has at least two slots");
        assert!(H::Shape::FRAGMENT_BITS <= 4, "a bit for each slot has to fit into `occupied`");
        1 << H::Shape::FRAGMENT_BITS
    };

    pub(crate) const ALIGN: usize = max(
        max(align_of::<EntryOf<H>>(), align_of::<Slot<H>>()),
        max(align_of::<H::Tag>(), align_of::<H::DigestCache>()),
    );

    /// The offset of the tag in a root, for code that has a raw pointer.
    pub const TAG: usize = size_of::<Self>().next_multiple_of(align_of::<H::Tag>());

    /// The offset of the contents of a node, a multiple of the alignment of a word.
    #[inline]
    pub(super) const fn start(is_root: bool) -> usize {
        if is_root {
            (Self::TAG + size_of::<H::Tag>()).next_multiple_of(align_of::<HighWord>())
        } else {
            size_of::<Self>()
        }
    }

    /// The number of entries that a leaf of `len` entries has room for.
    #[inline]
    pub(super) const fn padded_len(len: usize) -> usize {
        const {
            assert!(H::Shape::LEAF_STEP.is_power_of_two(), "a step is a power of two");
            assert!(
                H::Shape::LEAF_STEP <= LONG_LEAF,
                "the hashes of a leaf that is not long fit into one mask"
            );
        };
        (len + H::Shape::LEAF_STEP - 1) & !(H::Shape::LEAF_STEP - 1)
    }

    /// The offset of the low words of a leaf.
    #[inline]
    pub(super) const fn lows_offset(len: usize, is_root: bool) -> usize {
        const {
            assert!(
                align_of::<H::LowWord>() <= align_of::<HighWord>(),
                "low words follow high ones"
            )
        };
        Self::start(is_root) + Self::padded_len(len) * size_of::<HighWord>()
    }

    #[inline]
    pub(super) const fn entries_offset(len: usize, is_root: bool) -> usize {
        let lows = Self::padded_len(len) * size_of::<H::LowWord>();
        (Self::lows_offset(len, is_root) + lows).next_multiple_of(align_of::<EntryOf<H>>())
    }

    #[inline]
    pub(super) const fn digest_offset(is_root: bool) -> usize {
        Self::start(is_root).next_multiple_of(align_of::<H::DigestCache>())
    }

    #[inline]
    pub(super) const fn children_offset(is_root: bool) -> usize {
        (Self::digest_offset(is_root) + size_of::<H::DigestCache>())
            .next_multiple_of(align_of::<Slot<H>>())
    }

    #[inline]
    pub(super) fn leaf_layout(len: usize, is_root: bool) -> NodeLayout {
        let entries = Self::padded_len(len) * size_of::<EntryOf<H>>();
        let size = Self::entries_offset(len, is_root) + entries;
        Self::layout_of_size(size, is_root)
    }

    #[inline]
    pub(super) fn branch_layout(is_root: bool) -> NodeLayout {
        let size = Self::children_offset(is_root) + Self::FANOUT * size_of::<Slot<H>>();
        Self::layout_of_size(size, is_root)
    }

    #[inline]
    fn layout_of_size(size: usize, is_root: bool) -> NodeLayout {
        let memory = Layout::from_size_align(size, Self::ALIGN);
        NodeLayout { memory: memory.expect("a node is smaller than isize::MAX"), is_root }
    }

    /// The layout that the node was allocated with.
    ///
    /// See [`Node`] for an example.
    #[inline]
    pub fn layout(&self) -> NodeLayout {
        if self.kind.is_branch() {
            Self::branch_layout(self.is_root())
        } else {
            Self::leaf_layout(self.len as usize, self.is_root())
        }
    }
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
