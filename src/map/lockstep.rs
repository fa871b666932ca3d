//! Walking several maps in lockstep, and sharing what the result has in common with them.
//!
//! ```text
//! combine(views of N maps at one depth):
//!     if the rule can tell from which of them are empty or identical: done, without a look inside
//!     if one is a branch: split each into its fragments, combine fragment by fragment
//!     else: walk their entries in the order of their hashes, and ask the rule for each key
//! ```
//!
//! Equal content means equal shape, so maps that came from one another by a few edits have all but
//! a few subtrees in common, and most of the walk ends at the first line: O(changes x log n). A
//! leaf is seen as a run of entries, which splits into fragments as a branch does.
//!
//! The rule may run user code. Nothing is half edited then: the maps do not change, and the caller
//! keeps them alive; what has been built so far is nobody else's.

use super::build::{self, Hashed};
use super::edit::capacity;
use super::hash::Hash;
use super::heap::Heap;
use super::iter::Iter;
use super::node::{BranchMut, Contents, EntryOf, Leaf, LeafBuilder, Node, NodeRef, Slot};
use super::search::{KeyProbe, find_in_run, precedes};
use super::tuning::Shape as _;
use std::ptr;

/// What is to become of one key, or of a whole subtree.
pub(crate) enum Choice<E> {
    /// Nothing of it is in the result.
    Drop,
    /// The result has what this map has.
    Take(usize),
    /// The result has this.
    Make(E),
}

/// How maps are combined into one.
pub(crate) trait Rule<H: Heap, const N: usize> {
    /// What becomes of a subtree, if that needs no look inside: `alike[i]` is the first map that
    /// has the same as map `i` there, or `None` if it has nothing.
    fn subtree(&self, alike: [Option<usize>; N]) -> Option<Choice<()>>;

    /// Whether two keys with one hash are the same.
    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error>;

    /// What becomes of a key, which at least one map has.
    fn entry(
        &mut self,
        hash: Hash,
        entries: [Option<&EntryOf<H>>; N],
    ) -> Result<Choice<EntryOf<H>>, H::Error>;
}

/// The root of the map that the rule makes of the maps with these roots.
pub(crate) fn combine<H: Heap, const N: usize>(
    roots: [&Slot<H>; N],
    rule: &mut impl Rule<H, N>,
) -> Result<Slot<H>, H::Error> {
    let views = roots.map(|root| View::of(root.as_ref()));
    combine_views(&views, 0, rule)?.into_slot(&views, 0)
}

/// What one map has below one prefix of the hash.
enum View<'a, H: Heap> {
    /// A whole node, at the depth where it is in the map.
    Node(&'a NodeRef<H>),
    /// Some entries of a leaf that lies higher up, perhaps none.
    Part { leaf: Leaf<'a, H>, traced: bool },
}

impl<'a, H: Heap> View<'a, H> {
    fn of(node: Option<&'a NodeRef<H>>) -> Self {
        let nothing = Self::Part { leaf: Leaf { hashes: &[], entries: &[] }, traced: false };
        node.map_or(nothing, View::Node)
    }

    fn len(&self) -> usize {
        match self {
            View::Node(node) => node.len(),
            View::Part { leaf, .. } => leaf.hashes.len(),
        }
    }

    /// Whether both show the same memory, not just equal entries.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (View::Node(a), View::Node(b)) => a.as_ptr() == b.as_ptr(),
            (View::Part { leaf: a, .. }, View::Part { leaf: b, .. }) => {
                ptr::eq(a.entries, b.entries) || (a.entries.is_empty() && b.entries.is_empty())
            }
            _ => false,
        }
    }

    fn children(&self) -> Option<&'a [Slot<H>]> {
        match self {
            View::Node(node) => match node.contents() {
                Contents::Branch(children) => Some(children),
                Contents::Leaf(_) => None,
            },
            View::Part { .. } => None,
        }
    }

    /// The entries of what is not a branch.
    fn leaf(&self) -> (Leaf<'a, H>, bool) {
        match self {
            View::Node(node) => match node.contents() {
                Contents::Leaf(leaf) => (leaf, node.is_traced()),
                Contents::Branch(_) => unreachable!("branches are split before entries are seen"),
            },
            View::Part { leaf: Leaf { hashes, entries }, traced } => {
                (Leaf { hashes, entries }, *traced)
            }
        }
    }

    /// What the map has below `fragment` at `depth`.
    fn fragment(&self, fragment: usize, depth: u32) -> Self {
        if let Some(children) = self.children() {
            return View::of(children[fragment].as_ref());
        }
        let (leaf, traced) = self.leaf();
        let of = |hash: &Hash| hash.fragment(depth, H::Shape::FRAGMENT_BITS);
        let start = leaf.hashes.partition_point(|hash| of(hash) < fragment);
        let count = leaf.hashes[start..].partition_point(|hash| of(hash) == fragment);
        let range = start..start + count;
        let (hashes, entries) = (&leaf.hashes[range.clone()], &leaf.entries[range]);
        View::Part { leaf: Leaf { hashes, entries }, traced }
    }

    /// The node at `depth` with these entries: the one that is there, or a new one.
    fn to_node(&self, depth: u32) -> Result<Slot<H>, H::Error> {
        match self {
            View::Node(node) => Ok(Some(NodeRef::clone(node))),
            View::Part { leaf, .. } if leaf.hashes.is_empty() => Ok(None),
            View::Part { leaf, traced } => build::split(leaf, *traced, None, depth).map(Some),
        }
    }
}

/// What is in the result below one prefix of the hash.
enum Outcome<H: Heap> {
    /// Just what the maps of this set have there, as one bit for each.
    Same(u32),
    /// This node, or nothing.
    New(Slot<H>),
}

impl<H: Heap> Outcome<H> {
    fn into_slot<const N: usize>(
        self,
        views: &[View<'_, H>; N],
        depth: u32,
    ) -> Result<Slot<H>, H::Error> {
        match self {
            // A map that has it as a node is better than one that has it in a larger leaf.
            Outcome::Same(maps) => {
                let of_set = || (0..N).filter(|map| maps & 1 << map != 0).map(|map| &views[map]);
                let node = of_set().find(|view| matches!(view, View::Node(_)));
                node.or_else(|| of_set().next()).map_or(Ok(None), |view| view.to_node(depth))
            }
            Outcome::New(slot) => Ok(slot),
        }
    }
}

/// The maps for which `holds`, as one bit for each.
fn set_of<const N: usize>(holds: impl Fn(usize) -> bool) -> u32 {
    (0..N).filter(|&map| holds(map)).map(|map| 1 << map).sum()
}

fn combine_views<H: Heap, const N: usize>(
    views: &[View<'_, H>; N],
    depth: u32,
    rule: &mut impl Rule<H, N>,
) -> Result<Outcome<H>, H::Error> {
    let alike = std::array::from_fn(|map| {
        let first = (0..map).find(|&other| views[other].is(&views[map])).unwrap_or(map);
        (views[map].len() > 0).then_some(first)
    });
    let taken = if alike == [None; N] { Some(Choice::Drop) } else { rule.subtree(alike) };
    match taken {
        Some(Choice::Take(map)) => Ok(Outcome::Same(set_of::<N>(|it| alike[it] == alike[map]))),
        Some(_) => match set_of::<N>(|map| alike[map].is_none()) {
            0 => Ok(Outcome::New(None)),
            empty => Ok(Outcome::Same(empty)),
        },
        None if views.iter().any(|view| view.children().is_some()) => {
            combine_fragments(views, depth, rule)
        }
        None => combine_entries(views, depth, rule),
    }
}

fn combine_fragments<H: Heap, const N: usize>(
    views: &[View<'_, H>; N],
    depth: u32,
    rule: &mut impl Rule<H, N>,
) -> Result<Outcome<H>, H::Error> {
    let mut same = set_of::<N>(|_| true);
    let mut parts: Vec<(usize, [View<'_, H>; N], Outcome<H>)> = Vec::new();
    for fragment in 0..Node::<H>::FANOUT {
        let below: [View<'_, H>; N] =
            std::array::from_fn(|map| views[map].fragment(fragment, depth));
        if below.iter().all(|view| view.len() == 0) {
            continue;
        }
        let outcome = combine_views(&below, depth + 1, rule)?;
        same &= if let Outcome::Same(maps) = outcome { maps } else { 0 };
        parts.push((fragment, below, outcome));
    }
    if same != 0 {
        return Ok(Outcome::Same(same));
    }
    let mut slots: Vec<(usize, NodeRef<H>)> = Vec::with_capacity(parts.len());
    for (fragment, below, outcome) in parts {
        if let Some(node) = outcome.into_slot(&below, depth + 1)? {
            slots.push((fragment, node));
        }
    }
    assemble(slots, depth).map(Outcome::New)
}

/// The node at `depth` with these children: a branch, or a leaf if they fit into one.
fn assemble<H: Heap>(
    children: Vec<(usize, NodeRef<H>)>,
    depth: u32,
) -> Result<Slot<H>, H::Error> {
    let len: usize = children.iter().map(|(_, child)| child.len()).sum();
    if len == 0 {
        return Ok(None);
    }
    if len <= capacity::<H>(depth) {
        let mut builder = LeafBuilder::new(len, depth == 0)?;
        for (_, child) in &children {
            for (hash, entry) in Iter::below(Some(child), depth + 1) {
                builder.push(hash, entry.clone());
            }
        }
        return Ok(Some(builder.finish()));
    }
    let traced = children.iter().any(|(_, child)| child.is_traced());
    let mut node = NodeRef::branch_of(&[], len, traced, depth == 0)?;
    let mut branch = BranchMut::of_new(&mut node);
    for (fragment, child) in children {
        branch.children()[fragment] = Some(child);
    }
    Ok(Some(node))
}

fn combine_entries<H: Heap, const N: usize>(
    views: &[View<'_, H>; N],
    depth: u32,
    rule: &mut impl Rule<H, N>,
) -> Result<Outcome<H>, H::Error> {
    let mut leaves = std::array::from_fn(|map| views[map].leaf().0);
    let mut same = set_of::<N>(|_| true);
    let mut result: Vec<Hashed<H>> = Vec::new();
    while let Some(hash) = leaves.iter().filter_map(|leaf| leaf.hashes.first()).min().copied() {
        let runs = leaves.each_mut().map(|leaf| take_run(leaf, hash));
        let mut step = Step { rule, hash, same: &mut same, result: &mut result };
        if runs.iter().all(|run| run.len() <= 1) {
            step.single_entries(runs.map(|run| run.first()))?;
        } else {
            step.runs(runs)?;
        }
    }
    if same != 0 {
        return Ok(Outcome::Same(same));
    }
    build::subtree(result, depth).map(Outcome::New)
}

/// The entries with `hash`, taken off the front of `leaf`.
fn take_run<'a, H: Heap>(leaf: &mut Leaf<'a, H>, hash: Hash) -> &'a [EntryOf<H>] {
    if leaf.hashes.first() != Some(&hash) {
        return &[];
    }
    let run = leaf.run_from(0);
    leaf.hashes = &leaf.hashes[run.len()..];
    leaf.entries = &leaf.entries[run.len()..];
    run
}

/// What several maps have for one hash.
struct Step<'s, H: Heap, R, const N: usize> {
    rule: &'s mut R,
    hash: Hash,
    /// The maps that have had just what the result has, so far.
    same: &'s mut u32,
    result: &'s mut Vec<Hashed<H>>,
}

impl<H: Heap, R: Rule<H, N>, const N: usize> Step<'_, H, R, N> {
    /// One entry of each map, or none: as a rule they have one key.
    fn single_entries(&mut self, mut entries: [Option<&EntryOf<H>>; N]) -> Result<(), H::Error> {
        for first in 0..N {
            let Some(entry) = entries[first].take() else { continue };
            let mut group = [None; N];
            group[first] = Some(entry);
            for other in first + 1..N {
                if let Some(candidate) = entries[other]
                    && (ptr::eq(candidate, entry) || self.rule.same(&entry.key, &candidate.key)?)
                {
                    group[other] = entries[other].take();
                }
            }
            self.decide(group)?;
        }
        Ok(())
    }

    /// Several entries with one hash in some map.
    fn runs(&mut self, runs: [&[EntryOf<H>]; N]) -> Result<(), H::Error> {
        let begin = self.result.len();
        let mut grouped = runs.map(|run| vec![false; run.len()]);
        for first in 0..N {
            for (index, entry) in runs[first].iter().enumerate() {
                if grouped[first][index] {
                    continue;
                }
                let mut group = [None; N];
                group[first] = Some(entry);
                for other in first + 1..N {
                    let same = |a: &H::Key, b: &H::Key| self.rule.same(a, b);
                    let mut probe = KeyProbe::<H, _> { key: &entry.key, same };
                    if let Some(found) = find_in_run(runs[other], &mut probe)?
                        && !grouped[other][found]
                    {
                        grouped[other][found] = true;
                        group[other] = Some(&runs[other][found]);
                    }
                }
                self.decide(group)?;
            }
        }
        // The entries of the second map come after those of the first, and so on: sort them in.
        let mut sorted: Vec<Hashed<H>> = Vec::with_capacity(self.result.len() - begin);
        for (hash, entry) in self.result.drain(begin..) {
            let place = sorted.partition_point(|(_, it)| precedes::<H>(&it.key, &entry.key));
            sorted.insert(place, (hash, entry));
        }
        self.result.append(&mut sorted);
        Ok(())
    }

    /// Asks the rule what becomes of a key.
    fn decide(&mut self, group: [Option<&EntryOf<H>>; N]) -> Result<(), H::Error> {
        let new = match self.rule.entry(self.hash, group)? {
            Choice::Drop => {
                *self.same &= set_of::<N>(|map| group[map].is_none());
                return Ok(());
            }
            Choice::Take(map) => {
                let taken = group[map].map_or(ptr::null(), ptr::from_ref);
                let has_it = |entry: Option<&EntryOf<H>>| entry.map_or(ptr::null(), ptr::from_ref);
                *self.same &= set_of::<N>(|it| it == map || has_it(group[it]) == taken);
                group[map].cloned()
            }
            Choice::Make(entry) => {
                *self.same = 0;
                Some(entry)
            }
        };
        self.result.extend(new.map(|entry| (self.hash, entry)));
        Ok(())
    }
}
