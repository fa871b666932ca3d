//! New values for all entries of a map, without visiting nodes that are known to stay unchanged.
//!
//! Versions of one map share most of their nodes. If each version is rewritten in turn, a node that
//! has stayed unchanged once is skipped in all later versions. (The deep copy of Python maps is such
//! a rewrite.)

use crate::map::heap::{CloningHeap, Heap};
use crate::map::node::branch_mut::BranchMut;
use crate::map::node::leaf_builder::LeafBuilder;
use crate::map::node::reference::NodeRef;
use crate::map::node::{Children, Contents, Entry, EntryOf, Leaf, fragments};
use crate::map::trie::Trie;

/// Computes new values for maps, and records nodes that stay unchanged.
///
/// See [`Trie::rewritten`](crate::map::Trie::rewritten) for an example.
pub trait Rewrite<H: Heap> {
    /// Whether all values below a node are known to stay unchanged.
    ///
    /// # Errors
    ///
    /// The first one of the implementation.
    fn is_unchanged(&mut self, node: &NodeRef<H>) -> Result<bool, H::Error>;

    /// Records that all values below a node stay unchanged.
    ///
    /// # Errors
    ///
    /// The first one of the implementation.
    fn mark_unchanged(&mut self, node: &NodeRef<H>) -> Result<(), H::Error>;

    /// The new value of an entry; the old value if it stays.
    ///
    /// # Errors
    ///
    /// The first one of the implementation.
    fn new_value(&mut self, entry: &EntryOf<H>) -> Result<H::Value, H::Error>;
}

/// The node with new values, or the same node if all values stay.
///
/// User code may run in `rule`. It cannot reach a new node before the node is initialised.
pub(crate) fn rewritten<H: CloningHeap>(
    node: &NodeRef<H>,
    rule: &mut impl Rewrite<H>,
) -> Result<NodeRef<H>, H::Error> {
    if rule.is_unchanged(node)? {
        return Ok(node.clone());
    }
    let changed = match node.contents() {
        Contents::Leaf(leaf) => rewritten_leaf(&leaf, node.is_root(), rule)?,
        Contents::Branch(children) => rewritten_branch(node, &children, rule)?,
    };
    match changed {
        Some(changed) => Ok(changed),
        None => {
            rule.mark_unchanged(node)?;
            Ok(node.clone())
        }
    }
}

/// The leaf with new values, `None` if all values stay.
fn rewritten_leaf<H: CloningHeap>(
    leaf: &Leaf<'_, H>,
    is_root: bool,
    rule: &mut impl Rewrite<H>,
) -> Result<Option<NodeRef<H>>, H::Error> {
    let mut changed: Option<LeafBuilder<H>> = None;
    for (index, entry) in leaf.entries.iter().enumerate() {
        let value = rule.new_value(entry)?;
        if changed.is_none() && !H::is_identical(&entry.value, &value) {
            let builder = changed.insert(LeafBuilder::new(leaf.entries.len(), is_root)?);
            for (index, entry) in leaf.entries.iter().enumerate().take(index) {
                builder.push(leaf.hash(index), entry.clone());
            }
        }
        if let Some(builder) = &mut changed {
            builder.push(leaf.hash(index), Entry { key: entry.key.clone(), value });
        }
    }
    Ok(changed.map(LeafBuilder::finish))
}

/// The branch with new values below it, `None` if all values stay.
fn rewritten_branch<H: CloningHeap>(
    node: &NodeRef<H>,
    children: &Children<'_, H>,
    rule: &mut impl Rewrite<H>,
) -> Result<Option<NodeRef<H>>, H::Error> {
    let mut changed = [const { None }; 16];
    for fragment in fragments(children.occupied()) {
        let Some(child) = children.get(fragment) else { continue };
        let new = rewritten(child, rule)?;
        changed[fragment] = (new.as_ptr() != child.as_ptr()).then_some(new);
    }
    if changed.iter().all(Option::is_none) {
        return Ok(None);
    }
    let traced = node.is_traced() || changed.iter().flatten().any(NodeRef::is_traced);
    let mut result = NodeRef::branch_of(Some(children), node.len(), traced, node.is_root())?;
    let mut branch = BranchMut::of_new(&mut result);
    for (slot, new) in changed.into_iter().enumerate() {
        if new.is_some() {
            branch.put(children.span_at(slot), new);
        }
    }
    Ok(Some(result))
}

impl<H: CloningHeap> Trie<H> {
    /// The map with a new value for each entry, except below nodes that are known to stay unchanged.
    ///
    /// In many versions of one map, a node whose values stay is visited once. O(n) for n entries
    /// that are visited.
    ///
    /// # Errors
    ///
    /// The first one of `rule` or of the heap.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// use ctxvars::map::{NodeRef, Rewrite};
    ///
    /// /// Doubles all values, except in one map.
    /// struct Double<'a>(&'a Trie<Numbers>);
    ///
    /// impl Rewrite<Numbers> for Double<'_> {
    ///     fn is_unchanged(&mut self, node: &NodeRef<Numbers>) -> Result<bool, Infallible> {
    ///         Ok(self.0.root().is_some_and(|root| root.as_ptr() == node.as_ptr()))
    ///     }
    ///
    ///     fn mark_unchanged(&mut self, _: &NodeRef<Numbers>) -> Result<(), Infallible> {
    ///         Ok(())
    ///     }
    ///
    ///     fn new_value(&mut self, entry: &Entry<u32, u32>) -> Result<u32, Infallible> {
    ///         Ok(entry.value * 2)
    ///     }
    /// }
    ///
    /// let (kept, doubled) = (map([(1, 1)]), map([(1, 1), (2, 4)]));
    /// let Ok(same) = kept.rewritten(&mut Double(&kept));
    /// let Ok(new) = doubled.rewritten(&mut Double(&kept));
    /// assert!(same.ptr_eq(&kept));
    /// assert_eq!(entries(&new), [(1, 2), (2, 8)]);
    /// ```
    pub fn rewritten(&self, rule: &mut impl Rewrite<H>) -> Result<Self, H::Error> {
        let rewritten = self.root().map(|root| rewritten(root, rule)).transpose()?;
        Ok(Self::from_root(rewritten))
    }
}
