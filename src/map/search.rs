//! Finding a key.
//!
//! ```text
//! node = root, depth = 0
//! while node is a branch: node = child at fragment(hash, depth), or give up; depth += 1
//! for each entry of the leaf with this hash: ask the caller whether it is the key
//! ```
//!
//! The caller's answer may run user code and may fail. Nothing is being edited at that time.

use super::hash::Hash;
use super::heap::Heap;
use super::node::{Contents, EntryOf, Leaf, Node, NodeRef};
use super::tuning::Shape as _;

/// Where a key is in its leaf, or where it would be.
pub(crate) enum Position {
    Found(usize),
    Vacant(usize),
}

impl<H: Heap> Leaf<'_, H> {
    /// Looks for the key with `hash` that `matches` accepts.
    #[inline]
    pub(crate) fn position(
        &self,
        hash: Hash,
        mut matches: impl FnMut(&H::Key) -> Result<bool, H::Error>,
    ) -> Result<Position, H::Error> {
        for (index, &stored) in self.hashes.iter().enumerate() {
            if stored == hash && matches(&self.entries[index].key)? {
                return Ok(Position::Found(index));
            }
            if stored > hash {
                return Ok(Position::Vacant(index));
            }
        }
        Ok(Position::Vacant(self.hashes.len()))
    }

    /// The entries with this very hash.
    pub(crate) fn with_hash(&self, hash: Hash) -> &[EntryOf<H>] {
        let start = self.hashes.partition_point(|&stored| stored < hash);
        let count = self.hashes[start..].iter().take_while(|&&stored| stored == hash).count();
        &self.entries[start..start + count]
    }
}

/// The leaf that holds every key with `hash` below `root`, if there is one.
#[inline]
pub(crate) fn leaf_for<H: Heap>(root: &NodeRef<H>, hash: Hash) -> Option<Leaf<'_, H>> {
    let mut node = root;
    let mut depth = 0;
    loop {
        match node.contents() {
            Contents::Leaf(leaf) => return Some(leaf),
            Contents::Branch(children) => {
                debug_assert_eq!(children.len(), Node::<H>::FANOUT);
                node = children[hash.fragment(depth, H::Shape::FRAGMENT_BITS)].as_ref()?;
                depth += 1;
            }
        }
    }
}

/// The entry below `root` with `hash` whose key `matches` accepts.
#[inline]
pub(crate) fn find<H: Heap>(
    root: &NodeRef<H>,
    hash: Hash,
    mut matches: impl FnMut(&H::Key) -> Result<bool, H::Error>,
) -> Result<Option<&EntryOf<H>>, H::Error> {
    let Some(leaf) = leaf_for(root, hash) else { return Ok(None) };
    for (stored, entry) in leaf.hashes.iter().zip(leaf.entries) {
        if *stored == hash && matches(&entry.key)? {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}
