//! Replacing the value of a key: no entry gets another index.
//!
//! A *hint* is the index at which the key was found in a leaf last. In another map with these keys, the
//! key has the same index. The entry at the hint may have another key; then the key is searched for, and
//! its index becomes the hint.

use super::Retired;
use crate::map::heap::{CloningHeap, Heap};
use crate::map::levels::{HashOf, Levels, fragment};
use crate::map::node::reference::NodeRef;
use crate::map::node::{Contents, Leaf};
use crate::map::search::Probe;
use crate::map::trie::Trie;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The result of [`Trie::replace_in_place`].
pub(crate) enum InPlace<H: Heap> {
    /// The key had this value, and has the new value now.
    Replaced {
        /// The old value.
        old: H::Value,
        /// The address of the new value.
        #[cfg_attr(not(feature = "python"), allow(dead_code))] // Python remembers it.
        place: *const H::Value,
    },
    /// The key has this value already, which is the one that was given.
    Unchanged(H::Value),
    /// The key is not in the map, or another map shares its node or a node above. The value that
    /// was given.
    Impossible(H::Value),
}

impl<H: Heap> Trie<H> {
    /// Replaces the value of the key that matches the probe, if no other map shares a node on the
    /// path to it. Then no entry moves, nothing is allocated, and the [tag](Self::tag_mut) stays.
    /// O(log n).
    ///
    /// The probe runs no user code, which could share the nodes. It is tried on the entry at the index
    /// `hint` first.
    ///
    /// # Errors
    ///
    /// The error of the probe; the map is unchanged.
    #[inline]
    pub(crate) fn replace_in_place(
        &mut self,
        hash: HashOf<H>,
        mut probe: impl Probe<H>,
        hint: Option<&AtomicUsize>,
        value: H::Value,
    ) -> Result<InPlace<H>, H::Error> {
        match self.root_slot_mut() {
            Some(root) => replace_below(root, 0, hash, &mut probe, hint, value),
            None => Ok(InPlace::Impossible(value)),
        }
    }

    /// Replaces the value of the key that matches the probe in a map of one leaf, which is copied if
    /// it is shared. Returns the old value; or the new one, if the map has branches or lacks the key.
    ///
    /// The probe is tried on the entry at the index `hint` first.
    ///
    /// # Errors
    ///
    /// The error of the probe or of the heap; the map is unchanged.
    #[inline(always)]
    pub(crate) fn replace_in_leaf(
        &mut self,
        hash: HashOf<H>,
        mut probe: impl Probe<H>,
        hint: &AtomicUsize,
        value: H::Value,
    ) -> Result<Result<H::Value, H::Value>, H::Error>
    where
        H: CloningHeap,
    {
        let Some(root) = self.root_slot_mut() else { return Ok(Err(value)) };
        replace_in_leaf_root(root, hash, &mut probe, hint, value)
    }
}

/// Replaces the value of a key below `node`, which is at `depth`.
///
/// Each node on the path must be unshared, so that no other map sees the change. Nothing is allocated.
#[inline(always)]
fn replace_below<H: Heap>(
    node: &mut NodeRef<H>,
    depth: u32,
    hash: HashOf<H>,
    probe: &mut impl Probe<H>,
    hint: Option<&AtomicUsize>,
    value: H::Value,
) -> Result<InPlace<H>, H::Error> {
    if let Contents::Leaf(leaf) = node.contents() {
        let Some(index) = index_near(node, &leaf, hint, hash, probe)? else {
            return Ok(InPlace::Impossible(value));
        };
        if H::is_identical(&leaf.entries[index].value, &value) {
            return Ok(InPlace::Unchanged(value));
        }
        return Ok(match node.replace_value_in_place(index, value) {
            Ok((old, place)) => InPlace::Replaced { old, place },
            Err(value) => InPlace::Impossible(value),
        });
    }
    replace_below_branch(node, depth, hash, probe, hint, value)
}

/// Replaces the value of a key in a root that is a leaf, and returns the old one; or the new one, if the
/// root is a branch or lacks the key. A shared leaf is copied. On error the leaf is unchanged.
#[inline(always)]
fn replace_in_leaf_root<H: CloningHeap>(
    root: &mut NodeRef<H>,
    hash: HashOf<H>,
    probe: &mut impl Probe<H>,
    hint: &AtomicUsize,
    value: H::Value,
) -> Result<Result<H::Value, H::Value>, H::Error> {
    let Contents::Leaf(leaf) = root.contents_of_root() else { return Ok(Err(value)) };
    let Some(index) = index_near(root, &leaf, Some(hint), hash, probe)? else {
        return Ok(Err(value));
    };
    if H::is_identical(&leaf.entries[index].value, &value) {
        return Ok(Ok(value));
    }
    root.replace_value(index, value, &mut Retired::none()).map(Ok)
}

/// The index of a key in its leaf, if it is there.
#[inline(always)]
fn index_near<H: Heap>(
    node: &NodeRef<H>,
    leaf: &Leaf<'_, H>,
    hint: Option<&AtomicUsize>,
    hash: HashOf<H>,
    probe: &mut impl Probe<H>,
) -> Result<Option<usize>, H::Error> {
    let Some(hint) = hint else { return leaf.index_of(hash, probe) };
    let index = hint.load(Ordering::Relaxed);
    if index < leaf.entries.len()
        && probe.matches(&leaf.entries[index].key, || leaf.lows[index] == hash.low)?
    {
        return Ok(Some(index));
    }
    search(node, hint, hash, probe)
}

/// The index of a key in the leaf `node`, where it is not at the hint.
// It takes the node instead of the leaf, which can then stay in registers.
#[inline(never)]
fn search<H: Heap>(
    node: &NodeRef<H>,
    hint: &AtomicUsize,
    hash: HashOf<H>,
    probe: &mut impl Probe<H>,
) -> Result<Option<usize>, H::Error> {
    let Contents::Leaf(leaf) = node.contents() else { return Ok(None) };
    let found = leaf.index_of(hash, probe)?;
    if let Some(index) = found {
        hint.store(index, Ordering::Relaxed);
    }
    Ok(found)
}

fn replace_below_branch<H: Heap>(
    node: &mut NodeRef<H>,
    depth: u32,
    hash: HashOf<H>,
    probe: &mut impl Probe<H>,
    hint: Option<&AtomicUsize>,
    value: H::Value,
) -> Result<InPlace<H>, H::Error> {
    if depth >= Levels::<H>::AFTER_HASH {
        // Below, keys have one hash, and are ordered by their rehash.
        return Ok(InPlace::Impossible(value));
    }
    let Some(mut branch) = node.unshared_branch() else { return Ok(InPlace::Impossible(value)) };
    let Some(mut child) = branch.child_mut(fragment::<H>(hash, depth)) else {
        return Ok(InPlace::Impossible(value));
    };
    let result = replace_below(&mut child, depth + 1, hash, probe, hint, value)?;
    let traced = child.is_traced();
    drop(child);
    if let InPlace::Replaced { .. } = result {
        branch.clear_digest();
        if traced {
            branch.mark_traced();
        }
    }
    Ok(result)
}
