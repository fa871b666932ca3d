//! The layout of a node in memory: see the drawing in the [module](super).

use super::{EntryOf, Node, Slot};
use crate::map::fingerprints;
use crate::map::hash::HighWord;
use crate::map::heap::Heap;
use crate::map::tuning::Shape as _;
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
        assert!(H::Shape::FRAGMENT_BITS <= 4, "a bit for each slot has to fit into `slots`");
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

    /// The offset of the entries of a leaf with room for `room` entries.
    #[inline]
    pub(super) const fn entries_offset(room: usize, is_root: bool) -> usize {
        let end = if H::Shape::FINGERPRINTS {
            Self::start(is_root) + fingerprints::COUNT
        } else {
            Self::lows_offset(room, is_root) + room * size_of::<H::LowWord>()
        };
        end.next_multiple_of(align_of::<EntryOf<H>>())
    }

    /// The offset of the high words of a leaf.
    #[inline]
    pub(super) const fn highs_offset(room: usize, is_root: bool) -> usize {
        if H::Shape::FINGERPRINTS {
            let end = Self::entries_offset(room, is_root) + room * size_of::<EntryOf<H>>();
            end.next_multiple_of(align_of::<HighWord>())
        } else {
            Self::start(is_root)
        }
    }

    /// The offset of the low words of a leaf.
    #[inline]
    pub(super) const fn lows_offset(room: usize, is_root: bool) -> usize {
        const {
            assert!(
                align_of::<H::LowWord>() <= align_of::<HighWord>(),
                "low words follow high ones"
            )
        };
        Self::highs_offset(room, is_root) + room * size_of::<HighWord>()
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

    /// The layout of a leaf with room for `room` entries.
    #[inline]
    pub(super) fn leaf_layout(room: usize, is_root: bool) -> NodeLayout {
        let size = if H::Shape::FINGERPRINTS {
            Self::lows_offset(room, is_root) + room * size_of::<H::LowWord>()
        } else {
            Self::entries_offset(room, is_root) + room * size_of::<EntryOf<H>>()
        };
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
            Self::leaf_layout(self.room(), self.is_root())
        }
    }
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
