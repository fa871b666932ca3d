//! The node that an edit removes from a map, kept alive until the edit is over.

use crate::map::heap::Heap;
use crate::map::node::Slot;
use crate::map::node::reference::NodeRef;

/// The node that an edit has replaced or removed, if there is one.
///
/// Dropping a node may drop keys and values, whose destructors may run user code. (Python roots may
/// also have weak references, whose callbacks run then.) User code may use the map that is being
/// edited. So an edit never drops a node: it returns the node, and the caller drops it when the map
/// can be used again.
///
/// ```
#[doc = include_str!("../doc_prelude.txt")]
/// let mut squares = map([(1, 1), (2, 4), (3, 9)]);
/// let before = squares.clone();
/// let Ok(place) = squares.locate(hash(1), |stored: &u32| Ok(*stored == 1));
/// let (removed, retired) = squares.remove_at(hash(1), place);
/// drop(before); // The last reference to the old root is the one in `retired`.
/// assert_eq!(removed.map(|entry| entry.map(|it| it.value)), Ok(Some(1)));
/// drop(retired);
/// ```
#[must_use = "dropped too early, it runs destructors while the map is borrowed"]
pub struct Retired<H: Heap>(Slot<H>);

impl<H: Heap> Retired<H> {
    #[inline]
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Keeps a node that the edit has removed from the map.
    ///
    /// Only the first node of an edit is kept. An edit descends one path, so the nodes that follow are
    /// below the first one, which owns references to them. Dropping another reference to one of them
    /// frees nothing.
    #[inline]
    pub(crate) fn keep(&mut self, node: NodeRef<H>) {
        if self.0.is_none() {
            self.0 = Some(node);
        }
    }
}

/// The result of an edit, and the node that it has removed from the map.
///
/// See [`Retired`] for an example.
pub type Edited<H, T> = (Result<T, <H as Heap>::Error>, Retired<H>);
