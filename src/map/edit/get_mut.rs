//! Mutable access to values, for Rust programs. A heap with tracing cannot allow it, because it has to
//! trace each new value.

#![allow(unsafe_code)] // Iterates over unshared nodes mutably.

use super::retired::Retired;
use super::{Location, Place};
use crate::map::hash::{Hash, HighWord};
use crate::map::heap::CloningHeap;
use crate::map::heap::arc::ArcHeap;
use crate::map::iter::IterMut;
use crate::map::levels::fragment;
use crate::map::node::Contents;
use crate::map::node::reference::NodeRef;
use crate::map::search::{PathEnd, path_end};
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
    #[inline]
    pub(crate) fn newest_value_mut(&mut self, hash: Hash) -> Option<&mut V> {
        let newest = |highs: &[HighWord]| newest_of(highs, hash);
        value_below(self.root_mut()?, 0, hash, newest, &mut Retired::none())
    }

    /// The location of the key that was inserted last of those with `hash`. O(log n).
    pub(crate) fn newest_location(&self, hash: Hash) -> Location {
        let Some(PathEnd::Leaf(leaf)) = self.root().and_then(|root| path_end(root, hash)) else {
            return Location(Place::NoLeaf);
        };
        Location(newest_of(leaf.highs, hash).map_or(Place::NoLeaf, Place::Found))
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

/// The index of the newest entry with `hash`. The heap has no rehash of keys, so it is the last of its
/// run.
fn newest_of(highs: &[HighWord], hash: Hash) -> Option<usize> {
    highs.partition_point(|&it| it <= hash.high).checked_sub(1)
}

/// The value at the index that `choose` picks from the high words of the leaf for `hash`.
fn value_below<'a, H: CloningHeap<LowWord = (), Error = Infallible>>(
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

fn unshare_below<H: CloningHeap<Error = Infallible>>(node: &mut NodeRef<H>) {
    let mut retired = Retired::none();
    if let Contents::Leaf(_) = node.contents() {
        let Ok(()) = node.unshare_leaf(&mut retired);
        return;
    }
    let Ok(mut branch) = node.branch_mut(&mut retired);
    branch.for_each_child(unshare_below);
}
