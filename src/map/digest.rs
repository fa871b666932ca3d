//! A digest of all entries of a map, cached in branches: only changed subtrees are computed again.

use super::heap::{DigestCache as _, Heap};
use super::node::reference::NodeRef;
use super::node::{Contents, EntryOf};

/// The exclusive or of `of_entry` over the entries below `node`, cached in each branch.
///
/// It does not depend on the order of entries. A map that shares nodes with a map whose digest has
/// been computed needs O(changes x log n) calls only.
pub(crate) fn digest<H: Heap>(
    node: &NodeRef<H>,
    of_entry: &mut impl FnMut(&EntryOf<H>) -> Result<u64, H::Error>,
) -> Result<u64, H::Error> {
    match node.contents() {
        Contents::Leaf(leaf) => {
            leaf.entries.iter().try_fold(0, |sum, entry| Ok(sum ^ of_entry(entry)?))
        }
        Contents::Branch(children) => {
            if let Some(known) = node.digest_cache().get() {
                return Ok(known);
            }
            let mut sum = 0;
            for child in children.iter() {
                sum ^= digest(child, of_entry)?;
            }
            node.digest_cache().set(sum);
            Ok(sum)
        }
    }
}
