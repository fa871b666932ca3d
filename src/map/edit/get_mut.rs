//! Mutable access to values, for Rust programs. A heap with tracing cannot allow it, because it has to
//! trace each new value.

#![allow(unsafe_code)] // Iterates over unshared nodes mutably.

use super::Location;
use super::retired::Retired;
use crate::map::hash::{Hash, HighWord};
use crate::map::heap::Heap;
use crate::map::heap::arc::ArcHeap;
use crate::map::iter::IterMut;
use crate::map::levels::fragment;
use crate::map::node::Contents;
use crate::map::node::reference::NodeRef;
use crate::map::trie::Trie;
use crate::map::tuning::Shape;
use core::convert::Infallible;

impl<K: Clone, V: Clone, T: Default, S: Shape> Trie<ArcHeap<K, V, T, Infallible, S>> {
    /// The value at `location`, mutably, if the key was found there. O(log n): shared nodes on the
    /// path are copied first.
    #[inline]
    pub(crate) fn value_mut(&mut self, hash: Hash, location: Location) -> Option<&mut V> {
        let index = location.index()?;
        value_below(self.root_mut()?, 0, hash, |_| Some(index), &mut Retired::none())
    }

    /// The value that was inserted last of those with `hash`, mutably. O(log n).
    ///
    /// The heap has no rehash of keys, so the newest entry is the last of its run.
    #[inline]
    pub(crate) fn newest_value_mut(&mut self, hash: Hash) -> Option<&mut V> {
        let newest =
            |highs: &[HighWord]| highs.partition_point(|&it| it <= hash.high).checked_sub(1);
        value_below(self.root_mut()?, 0, hash, newest, &mut Retired::none())
    }

    /// All keys, and all values mutably. O(n): shared nodes are copied first.
    pub(crate) fn iter_mut(&mut self) -> IterMut<'_, ArcHeap<K, V, T, Infallible, S>> {
        if let Some(root) = self.root_mut() {
            unshare_below(root);
        }
        // SAFETY: `unshare_below` has made all nodes of this map unshared, and the map is borrowed
        // mutably for as long as the iterator lives.
        unsafe { IterMut::over(self.root_mut()) }
    }
}

/// The value at the index that `choose` picks from the high words of the leaf for `hash`.
fn value_below<'a, H: Heap<LowWord = (), Error = Infallible>>(
    node: &'a mut NodeRef<H>,
    depth: u32,
    hash: Hash,
    choose: impl FnOnce(&[HighWord]) -> Option<usize>,
    retired: &mut Retired<H>,
) -> Option<&'a mut H::Value> {
    if let Contents::Leaf(leaf) = node.contents() {
        let index = choose(leaf.highs)?;
        let Ok(()) = node.unshare_leaf(retired);
        return node.value_mut(index);
    }
    let Ok(branch) = node.branch_mut(retired);
    let child = branch.into_child_mut(fragment::<H>(hash, depth), |child| {
        if let Contents::Leaf(_) = child.contents() {
            let Ok(()) = child.unshare_leaf(retired);
        }
    })?;
    value_below(child, depth + 1, hash, choose, retired)
}

fn unshare_below<H: Heap<Error = Infallible>>(node: &mut NodeRef<H>) {
    let mut retired = Retired::none();
    if let Contents::Leaf(_) = node.contents() {
        let Ok(()) = node.unshare_leaf(&mut retired);
        return;
    }
    let Ok(mut branch) = node.branch_mut(&mut retired);
    branch.for_each_child(unshare_below);
}
