//! Mutable access to values, for Rust programs. A heap with tracing cannot allow it, because it has to
//! trace each new value.

#![allow(unsafe_code)] // Iterates over unshared nodes mutably.

use super::located::Located;
use super::retired::Retired;
use crate::map::hash::Hash;
use crate::map::heap::CloningHeap;
use crate::map::heap::arc::ArcHeap;
use crate::map::iter::IterMut;
use crate::map::levels::fragment;
use crate::map::node::reference::NodeRef;
use crate::map::node::{Contents, EntryOf};
use crate::map::search::Probe;
use crate::map::trie::Trie;
use crate::map::tuning::Shape;
use core::convert::Infallible;
use core::ptr::NonNull;

impl<K: Clone, V: Clone, T: Default, S: Shape> Trie<ArcHeap<K, V, T, Infallible, S>> {
    /// All keys, and all values mutably. O(n): shared nodes are copied first.
    pub(crate) fn iter_mut(&mut self) -> IterMut<'_, ArcHeap<K, V, T, Infallible, S>> {
        if let Some(root) = self.root_mut() {
            unshare_below(root);
        }
        // SAFETY: `unshare_below` has made all nodes of this map unshared, and the map is borrowed
        // mutably for as long as the iterator lives.
        unsafe { IterMut::over(self.root_mut()) }
    }

    /// The values of the keys with these hashes that match the probes, mutably. O(N · (N + log n)):
    /// shared nodes on the paths are copied first.
    ///
    /// # Panics
    ///
    /// Two keys have the same entry.
    pub(crate) fn get_disjoint_mut<const N: usize>(
        &mut self,
        keys: [(Hash, impl Probe<ArcHeap<K, V, T, Infallible, S>>); N],
    ) -> [Option<&mut V>; N] {
        let entries = keys.map(|(hash, probe)| match self.locate_mut(hash, probe) {
            Located::Found(mut found) => Some(found.unshared()),
            Located::Missing(_) => None,
        });
        for (index, entry) in entries.iter().enumerate() {
            let is_duplicate = entry.is_some() && entries[..index].contains(entry);
            assert!(!is_duplicate, "duplicate keys found");
        }
        // SAFETY: each address was found in an unshared leaf. Later searches have copied shared nodes
        // only, and the nodes on the path to the leaf are not shared, so it has not moved. The map is
        // borrowed mutably for as long as the results. They are references to different entries, as the
        // loop has checked, and are made after the last access through the map.
        entries.map(|entry| entry.map(|mut entry| unsafe { &mut entry.as_mut().value }))
    }
}

/// The address of the entry at `index` of the leaf for `hash`, after shared nodes on the path have been
/// copied.
pub(super) fn unshared_entry<H: CloningHeap<LowWord = (), Error = Infallible>>(
    node: &mut NodeRef<H>,
    depth: u32,
    hash: Hash,
    index: usize,
    retired: &mut Retired<H>,
) -> Option<NonNull<EntryOf<H>>> {
    if let Contents::Leaf(_) = node.contents() {
        let Ok(()) = node.unshare_leaf(retired);
        return node.entry_mut(index);
    }
    let Ok(mut branch) = node.branch_mut(retired);
    let mut child = branch.child_mut(fragment::<H>(hash, depth))?;
    unshared_entry(&mut child, depth + 1, hash, index, retired)
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
