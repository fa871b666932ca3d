//! Aligned runs of slots of a branch.

use super::reference::NodeRef;
use super::{Children, Node};
use crate::map::heap::Heap;
use crate::map::tuning::Shape as _;
use core::ops::Range;

/// An aligned run of 1, 2, 4, 8 or 16 slots: those of one child, or some that are empty.
///
/// ```text
///  slot    0   1   2   3   4   5   6   7   8  …  15
///        +---+---+---+---+---+---+---+---+---+---+---+
///        |   leaf a      | b | - |   c   |   leaf d  |
///        +---+---+---+---+---+---+---+---+---+---+---+
///  spans  0..4            4   5   6..8    8..16
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) first: usize,
    pub(crate) width: usize,
}

impl Span {
    /// The span of this width, a power of two, that contains a slot.
    #[inline]
    pub(crate) const fn around(slot: usize, width: usize) -> Self {
        Self { first: slot & !(width - 1), width }
    }

    /// All slots of a branch.
    #[inline]
    pub(crate) const fn whole<H: Heap>() -> Self {
        Self { first: 0, width: Node::<H>::FANOUT }
    }

    /// The span with which this one forms a span of twice the width.
    #[inline]
    pub(crate) const fn sibling(self) -> Self {
        Self { first: self.first ^ self.width, ..self }
    }

    /// The span of twice the width that contains this one.
    #[inline]
    pub(crate) const fn doubled(self) -> Self {
        Self::around(self.first, 2 * self.width)
    }

    /// The lower and the upper half, of a span of at least two slots.
    #[inline]
    pub(crate) const fn halves(self) -> [Self; 2] {
        let width = self.width / 2;
        [Self { width, ..self }, Self { first: self.first + width, width }]
    }

    /// The slots.
    #[inline]
    pub(crate) const fn slots(self) -> Range<usize> {
        self.first..self.first + self.width
    }

    /// A bit for each slot.
    #[inline]
    pub(crate) const fn mask(self) -> u16 {
        (((1_u32 << self.width) - 1) << self.first) as u16
    }
}

impl<'a, H: Heap> Children<'a, H> {
    /// The span of the child in a slot, or else this slot alone.
    #[inline]
    pub(crate) fn span_at(&self, slot: usize) -> Span {
        let mut span = Span::around(slot, 1);
        if H::Shape::SPANS {
            let Some(child) = self.get(slot) else { return span };
            // The slots of two children hold different pointers.
            let has_child =
                |other: Span| self.get(other.first).is_some_and(|it| it.as_ptr() == child.as_ptr());
            while span.width < Node::<H>::FANOUT && has_child(span.sibling()) {
                span = span.doubled();
            }
        }
        span
    }

    /// The widest span around an empty slot that is empty, and not the whole branch.
    #[inline]
    pub(crate) fn vacant_span_at(&self, slot: usize) -> Span {
        let mut span = Span::around(slot, 1);
        if H::Shape::SPANS {
            // A child in the sibling begins there: a child that began before would be in `slot`, too.
            while 2 * span.width < Node::<H>::FANOUT && self.occupied() & span.sibling().mask() == 0
            {
                span = span.doubled();
            }
        }
        span
    }

    /// The children that begin in a span, in the order of their slots.
    #[inline]
    pub(crate) fn in_span(&self, span: Span) -> impl Iterator<Item = &'a NodeRef<H>> + use<'a, H> {
        Children { occupied: self.occupied & span.mask(), ..*self }.iter()
    }

    /// `limit` less the number of entries of the children in a span; `None` if there are more.
    #[inline]
    pub(crate) fn room_beside(&self, span: Span, limit: usize) -> Option<usize> {
        self.in_span(span).try_fold(limit, |left, child| left.checked_sub(child.len()))
    }

    /// The number of entries of the children in a span.
    #[inline]
    pub(crate) fn len_of(&self, span: Span) -> usize {
        self.in_span(span).map(NodeRef::len).sum()
    }
}
