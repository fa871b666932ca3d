//! Replacing a value where it is: no entry moves, and nothing is allocated.

use crate::map::heap::Heap;
use crate::map::levels::{HashOf, Levels, fragment};
use crate::map::node::reference::NodeRef;
use crate::map::node::{Contents, EntryOf, Leaf};
use crate::map::search::{Position, Probe};
use core::mem::offset_of;

/// The result of [`Trie::replace_in_place`](crate::map::Trie::replace_in_place).
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

/// Replaces the value of a key below `node`, which is at `depth`.
///
/// Each node on the path must be unshared, so that no other map sees the change. If the value is at
/// the address `hint`, the key need not be searched for in its leaf.
#[inline(always)]
pub(crate) fn replace_below<H: Heap>(
    node: &mut NodeRef<H>,
    depth: u32,
    hash: HashOf<H>,
    probe: &mut impl Probe<H>,
    hint: *const H::Value,
    value: H::Value,
) -> Result<InPlace<H>, H::Error> {
    if let Contents::Leaf(leaf) = node.contents() {
        let index = match index_of(&leaf, hint) {
            Some(index)
                if probe.matches(&leaf.entries[index].key, || leaf.lows[index] == hash.low)? =>
            {
                index
            }
            _ => match leaf.position(hash, probe)? {
                Position::Found(index) => index,
                Position::Vacant(_) => return Ok(InPlace::Impossible(value)),
            },
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

/// The index of the entry whose value is at an address, if it is in this leaf.
#[inline]
fn index_of<H: Heap>(leaf: &Leaf<'_, H>, value: *const H::Value) -> Option<usize> {
    let first = leaf.entries.as_ptr().addr() + offset_of!(EntryOf<H>, value);
    let index = value.addr().wrapping_sub(first) / size_of::<EntryOf<H>>().max(1);
    (index < leaf.entries.len()).then_some(index)
}

fn replace_below_branch<H: Heap>(
    node: &mut NodeRef<H>,
    depth: u32,
    hash: HashOf<H>,
    probe: &mut impl Probe<H>,
    hint: *const H::Value,
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
