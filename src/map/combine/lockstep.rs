//! Walking several maps in lockstep to combine them into one, which shares nodes with them.
//!
//! ```text
//! combine(views of N maps at one depth):
//!     if the rule decides by which views are empty or identical: done, without descending
//!     if one is a branch: split each view by fragment, and combine fragment by fragment
//!     else: iterate over the entries in the order of their hashes; the rule decides each key
//! ```
//!
//! Equal content means equal shape. So versions of one map share all subtrees except a few, and the
//! first line ends the walk at most of them: O(changes x log n). A leaf is a list of sorted entries,
//! which can be split by fragment as a branch can.
//!
//! A key without a rehash may match a key with a rehash, which is below another fragment. If a map
//! has a key without a rehash, all keys with its hash are combined as one run.
//!
//! The rule may run user code. No node is half edited at that time: the operands do not change, the
//! caller keeps them alive, and new nodes are not reachable yet.

use super::spans::combine_spans;
use crate::map::build::{self, HashedEntry};
use crate::map::edit::capacity;
use crate::map::hash::LowWord as _;
use crate::map::heap::{CloningHeap, Heap};
use crate::map::iter::Iter;
use crate::map::levels::{HashOf, Levels, rehash_or_zero};
use crate::map::node::branch_mut::BranchMut;
use crate::map::node::leaf_builder::{LeafBuilder, Source};
use crate::map::node::reference::NodeRef;
use crate::map::node::{Children, Contents, EntryOf, Leaf, Node, Slot, Span, fragments};
use crate::map::reserve;
use crate::map::search::{KeyProbe, find_in_run};
use crate::map::tuning::Shape as _;
use alloc::vec::Vec;
use core::ptr;

/// The decision of a rule about one key, or about a whole subtree.
pub(crate) enum Choice<E> {
    /// Leave it out of the result.
    Drop,
    /// Take it from this map.
    Take(usize),
    /// Put this into the result.
    Make(E),
}

/// A way to combine N maps, which live for `'a`, into one.
pub(crate) trait Rule<'a, H: Heap, const N: usize> {
    /// Decides a subtree without descending, or returns `None` to descend. `alike[i]` is the first
    /// map whose subtree is identical to that of map `i`, or `None` if that is empty.
    fn subtree(&self, alike: [Option<usize>; N]) -> Option<Choice<()>>;

    /// Whether the walk can end early. Its result is dropped then.
    #[inline]
    fn has_seen_enough(&self) -> bool {
        false
    }

    /// Whether two keys with the same hash are the same key.
    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error>;

    /// Decides one key, which at least one map has.
    fn entry(
        &mut self,
        hash: HashOf<H>,
        entries: [Option<&'a EntryOf<H>>; N],
    ) -> Result<Choice<EntryOf<H>>, H::Error>;
}

/// Combines the maps with these roots by the rule, and returns the root of the result.
pub(crate) fn combine<'a, H: CloningHeap, const N: usize>(
    roots: [&'a Slot<H>; N],
    rule: &mut impl Rule<'a, H, N>,
) -> Result<Slot<H>, H::Error> {
    let view = |map: usize| View::of(roots[map].as_ref());
    combine_views(&core::array::from_fn(view), 0, rule)?.into_slot::<N>(view, 0)
}

/// The content of one map below one prefix of the hash.
pub(super) enum View<'a, H: Heap> {
    /// A whole node, at the depth where it is in the map.
    Node(&'a NodeRef<H>),
    /// Adjacent entries of a leaf at a smaller depth, perhaps none.
    Part(Part<'a, H>),
}

pub(super) struct Part<'a, H: Heap> {
    pub(super) leaf: Leaf<'a, H>,
    pub(super) traced: bool,
}

impl<'a, H: Heap> View<'a, H> {
    pub(super) fn of(node: Option<&'a NodeRef<H>>) -> Self {
        let nothing = Part { leaf: Leaf::empty(), traced: false };
        node.map_or(View::Part(nothing), View::Node)
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        match self {
            View::Node(_) => false,
            View::Part(part) => part.leaf.entries.is_empty(),
        }
    }

    /// Whether both views show the same memory, not just equal entries.
    #[inline]
    fn is_same_memory(&self, other: &Self) -> bool {
        match (self, other) {
            (View::Node(a), View::Node(b)) => a.as_ptr() == b.as_ptr(),
            (View::Part(Part { leaf: a, .. }), View::Part(Part { leaf: b, .. })) => {
                ptr::eq(a.entries, b.entries) || (a.entries.is_empty() && b.entries.is_empty())
            }
            _ => false,
        }
    }

    fn is_branch(&self) -> bool {
        matches!(self, View::Node(node) if matches!(node.contents(), Contents::Branch(_)))
    }

    /// The entries of a view that is not a branch.
    pub(super) fn part(&self) -> Part<'a, H> {
        match self {
            View::Node(node) => match node.contents() {
                Contents::Leaf(leaf) => Part { leaf, traced: node.is_traced() },
                Contents::Branch(_) => {
                    unreachable!("branches are split before their entries are read")
                }
            },
            View::Part(Part { leaf, traced }) => Part { leaf: *leaf, traced: *traced },
        }
    }

    /// All entries.
    fn entries(&self) -> Result<Vec<&'a EntryOf<H>>, H::Error> {
        match self {
            View::Node(node) => entries_of(node),
            View::Part(part) => reserve::collected::<H, _>(part.leaf.entries.iter()),
        }
    }

    /// Whether one of the keys, which all have one hash, has no rehash.
    fn has_unrehashed(&self) -> bool {
        match self {
            View::Node(node) => has_unrehashed(node),
            View::Part(part) => part.leaf.entries.first().is_some_and(is_unrehashed::<H>),
        }
    }

    fn split(&self) -> Split<'a, H> {
        match self {
            View::Node(node) => match node.contents() {
                Contents::Branch(children) => Split::Branch(node, children),
                Contents::Leaf(leaf) => Split::Part(Part { leaf, traced: node.is_traced() }),
            },
            View::Part(_) => Split::Part(self.part()),
        }
    }

    /// The node at `depth` with these entries: an existing node, or a new one.
    fn to_node(&self, depth: u32) -> Result<Slot<H>, H::Error>
    where
        H: CloningHeap,
    {
        match self {
            View::Node(node) => Ok(Some(NodeRef::clone(node))),
            View::Part(Part { leaf, .. }) if leaf.entries.is_empty() => Ok(None),
            View::Part(Part { leaf, traced }) => {
                build::split(&Source::kept(*leaf, *traced), None, depth).map(Some)
            }
        }
    }
}

/// All entries below a node whose keys all have one hash.
pub(super) fn entries_of<H: Heap>(run: &NodeRef<H>) -> Result<Vec<&EntryOf<H>>, H::Error> {
    reserve::collected::<H, _>(
        Iter::below(Some(run), Levels::<H>::AFTER_HASH).map(|(_, entry)| entry),
    )
}

/// Whether one of the keys below a node whose keys all have one hash has no rehash. Such keys come
/// first.
pub(super) fn has_unrehashed<H: Heap>(run: &NodeRef<H>) -> bool {
    let first = Iter::below(Some(run), Levels::<H>::AFTER_HASH).next();
    first.is_some_and(|(_, entry)| is_unrehashed::<H>(entry))
}

fn is_unrehashed<H: Heap>(entry: &EntryOf<H>) -> bool {
    rehash_or_zero::<H>(&entry.key) == 0
}

/// A view, split by fragment.
pub(super) enum Split<'a, H: Heap> {
    Branch(&'a NodeRef<H>, Children<'a, H>),
    Part(Part<'a, H>),
}

impl<'a, H: Heap> Split<'a, H> {
    /// A bit for each fragment at `depth` that has entries.
    fn occupied(&self, depth: u32) -> u16 {
        match self {
            Split::Branch(_, children) => children.occupied(),
            Split::Part(part) => {
                let fragments =
                    (0..part.leaf.entries.len()).map(|it| part.leaf.fragment(it, depth));
                fragments.fold(0, |bits, fragment| bits | 1 << fragment)
            }
        }
    }

    /// The view below `fragment` at `depth`.
    #[inline]
    fn below(&self, fragment: usize, depth: u32) -> View<'a, H> {
        match self {
            Split::Branch(_, children) => View::of(children.get(fragment)),
            Split::Part(Part { leaf, traced }) => {
                let len = leaf.entries.len();
                let start = leaf.partition_point(0..len, depth, |it| it < fragment);
                let end = leaf.partition_point(start..len, depth, |it| it == fragment);
                View::Part(Part { leaf: leaf.part(start..end), traced: *traced })
            }
        }
    }
}

/// The content of the result below one prefix of the hash.
pub(super) enum Outcome<H: Heap> {
    /// The content of these maps, which is the same; one bit for each map.
    Same(u32),
    /// A new node, or nothing.
    New(Slot<H>),
}

impl<H: Heap> Outcome<H> {
    /// The maps that have this content.
    fn same(&self) -> u32 {
        match self {
            Outcome::Same(maps) => *maps,
            Outcome::New(_) => 0,
        }
    }

    fn into_slot<'a, const N: usize>(
        self,
        view: impl Fn(usize) -> View<'a, H>,
        depth: u32,
    ) -> Result<Slot<H>, H::Error>
    where
        H: CloningHeap + 'a,
    {
        match self {
            // A node can be shared; a part of a leaf would have to be copied.
            Outcome::Same(maps) => {
                let views = || (0..N).filter(|map| maps & 1 << map != 0).map(&view);
                let node = views().find(|view| matches!(view, View::Node(_)));
                node.or_else(|| views().next()).map_or(Ok(None), |view| view.to_node(depth))
            }
            Outcome::New(slot) => Ok(slot),
        }
    }
}

/// The maps for which `holds`, as one bit for each.
pub(super) fn set_of<const N: usize>(holds: impl Fn(usize) -> bool) -> u32 {
    (0..N).filter(|&map| holds(map)).map(|map| 1 << map).sum()
}

pub(super) fn combine_views<'a, H: CloningHeap, const N: usize>(
    views: &[View<'a, H>; N],
    depth: u32,
    rule: &mut impl Rule<'a, H, N>,
) -> Result<Outcome<H>, H::Error> {
    match outcome_without_descent(alike(views), rule) {
        Some(same) => Ok(if same == 0 { Outcome::New(None) } else { Outcome::Same(same) }),
        None if !views.iter().any(View::is_branch) => {
            combine_entries(views.each_ref().map(|view| view.part().leaf), depth, rule)
        }
        None if H::LowWord::BITS > 0
            && depth == Levels::<H>::AFTER_HASH
            && views.iter().any(View::has_unrehashed) =>
        {
            combine_run(views, depth, rule)
        }
        None if H::Shape::SPANS => combine_spans(&views.each_ref().map(View::split), depth, rule),
        None => combine_fragments(views.each_ref().map(View::split), depth, rule),
    }
}

/// For each view, the first view that shows the same memory, or `None` if it is empty.
pub(super) fn alike<H: Heap, const N: usize>(views: &[View<'_, H>; N]) -> [Option<usize>; N] {
    core::array::from_fn(|map| {
        let first = (0..map).find(|&other| views[other].is_same_memory(&views[map])).unwrap_or(map);
        (!views[map].is_empty()).then_some(first)
    })
}

/// As [`combine_views`], if all keys have one hash and some keys have no rehash. O(n) for the n
/// entries of all maps.
#[cold]
fn combine_run<'a, H: CloningHeap, const N: usize>(
    views: &[View<'a, H>; N],
    depth: u32,
    rule: &mut impl Rule<'a, H, N>,
) -> Result<Outcome<H>, H::Error> {
    let hash_of = |view: &View<'a, H>| match view {
        View::Node(node) => Iter::below(Some(node), depth).next().map(|(hash, _)| hash),
        View::Part(part) => part.leaf.first_hash(),
    };
    let Some(hash) = views.iter().find_map(hash_of) else { return Ok(Outcome::New(None)) };
    let mut same = set_of::<N>(|_| true);
    let mut result: Vec<HashedEntry<H>> = Vec::new();
    let mut step = Step { rule, hash, same: &mut same, result: &mut result };
    let mut runs = [const { Vec::new() }; N];
    for (run, view) in runs.iter_mut().zip(views) {
        *run = view.entries()?;
    }
    step.runs(runs)?;
    if rule.has_seen_enough() {
        return Ok(Outcome::New(None));
    }
    if same != 0 {
        return Ok(Outcome::Same(same));
    }
    put_in_order::<H>(&mut result, 0)?;
    build::subtree(result, depth).map(Outcome::New)
}

/// The maps whose content is that of the result, if the rule decides without descending. The set is
/// empty if the result is empty and no map is.
#[inline]
pub(super) fn outcome_without_descent<'a, H: Heap, const N: usize>(
    alike: [Option<usize>; N],
    rule: &impl Rule<'a, H, N>,
) -> Option<u32> {
    let taken = if alike == [None; N] { Choice::Drop } else { rule.subtree(alike)? };
    Some(match taken {
        Choice::Take(map) => set_of::<N>(|it| alike[it] == alike[map]),
        _ => set_of::<N>(|map| alike[map].is_none()),
    })
}

/// The outcomes by fragment; `None` for fragments without entries.
type Outcomes<H> = [Option<Outcome<H>>; 16];

fn combine_fragments<'a, H: CloningHeap, const N: usize>(
    splits: [Split<'a, H>; N],
    depth: u32,
    rule: &mut impl Rule<'a, H, N>,
) -> Result<Outcome<H>, H::Error> {
    let occupied = splits.each_ref().map(|split| split.occupied(depth));
    let mut to_visit = occupied.iter().fold(0, |all, bits| all | bits);
    let mut outcomes: Outcomes<H> = [const { None }; 16];
    let mut same = set_of::<N>(|_| true);
    // Fragments that only one map has are decided together. They are most of a large map that is
    // combined with a small one.
    for map in 0..N {
        let others = (0..N).filter(|&it| it != map).fold(0, |all, it| all | occupied[it]);
        let alone = occupied[map] & !others;
        let alike = core::array::from_fn(|it| (it == map).then_some(map));
        let maps = if alone == 0 { None } else { outcome_without_descent(alike, rule) };
        if let Some(maps @ 1..) = maps {
            same &= maps;
            to_visit &= !alone;
            for fragment in fragments(alone) {
                outcomes[fragment] = Some(Outcome::Same(maps));
            }
        }
    }
    for fragment in fragments(to_visit) {
        let below = splits.each_ref().map(|split| split.below(fragment, depth));
        let outcome = combine_views(&below, depth + 1, rule)?;
        if rule.has_seen_enough() {
            return Ok(Outcome::New(None));
        }
        same &= outcome.same();
        outcomes[fragment] = Some(outcome);
    }
    if same != 0 {
        return Ok(Outcome::Same(same));
    }
    assemble(&splits, outcomes, depth).map(Outcome::New)
}

/// The node at `depth` with these children: a branch, or a leaf if they fit into one.
///
/// It starts as a copy of the branch that shares most children with the result.
fn assemble<H: CloningHeap, const N: usize>(
    splits: &[Split<'_, H>; N],
    outcomes: Outcomes<H>,
    depth: u32,
) -> Result<Slot<H>, H::Error> {
    let mut common = [0; N];
    for outcome in outcomes.iter().flatten() {
        let maps = outcome.same();
        common.iter_mut().enumerate().for_each(|(map, count)| *count += maps >> map & 1);
    }
    let branches = splits.iter().zip(common).enumerate().filter_map(|(map, (split, common))| {
        let Split::Branch(node, children) = split else { return None };
        Some((common, map, *node, children))
    });
    let Some((_, base, node, children)) = branches.max_by_key(|(common, ..)| *common) else {
        unreachable!("one of the views is a branch")
    };
    let mut changed: [Option<Slot<H>>; 16] = [const { None }; 16];
    let (mut len, mut traced) = (node.len(), node.is_traced());
    for (fragment, outcome) in outcomes.into_iter().enumerate() {
        let Some(outcome) = outcome else { continue };
        if outcome.same() >> base & 1 != 0 {
            continue;
        }
        let view = |map: usize| splits[map].below(fragment, depth);
        let slot = outcome.into_slot::<N>(view, depth + 1)?;
        len += slot.as_ref().map_or(0, NodeRef::len);
        len -= children.get(fragment).map_or(0, NodeRef::len);
        traced |= slot.as_ref().is_some_and(NodeRef::is_traced);
        changed[fragment] = Some(slot);
    }
    if len == 0 {
        return Ok(None);
    }
    let child =
        |fragment: usize| changed[fragment].as_ref().map_or(children.get(fragment), Option::as_ref);
    if depth >= Levels::<H>::AFTER_HASH {
        // A run is a leaf, however long.
        let mut there = (0..Node::<H>::FANOUT).filter_map(child);
        if let (Some(only), None) = (there.next(), there.next()) {
            if matches!(only.contents(), Contents::Leaf(_)) {
                return Ok(Some(NodeRef::clone(only)));
            }
        }
    }
    if len <= capacity::<H>(depth) {
        let mut builder = LeafBuilder::new(len, depth == 0)?;
        for fragment in 0..Node::<H>::FANOUT {
            for (hash, entry) in Iter::below(child(fragment), depth + 1) {
                builder.push(hash, entry.clone());
            }
        }
        return Ok(Some(builder.finish()));
    }
    let mut result = NodeRef::branch_of(Some(children), len, traced, depth == 0)?;
    let mut branch = BranchMut::of_new(&mut result);
    for (fragment, changed) in changed.into_iter().enumerate() {
        if let Some(slot) = changed {
            branch.put(Span::around(fragment, 1), slot);
        }
    }
    Ok(Some(result))
}

fn combine_entries<'a, H: CloningHeap, const N: usize>(
    leaves: [Leaf<'a, H>; N],
    depth: u32,
    rule: &mut impl Rule<'a, H, N>,
) -> Result<Outcome<H>, H::Error> {
    let (same, result) = combine_leaves(leaves, rule)?;
    if rule.has_seen_enough() {
        return Ok(Outcome::New(None));
    }
    if same != 0 {
        return Ok(Outcome::Same(same));
    }
    build::subtree(result, depth).map(Outcome::New)
}

/// The maps whose entries are those of the result, one bit for each, and these entries. If the rule has
/// seen enough, the result is incomplete.
pub(super) fn combine_leaves<'a, H: CloningHeap, const N: usize>(
    mut leaves: [Leaf<'a, H>; N],
    rule: &mut impl Rule<'a, H, N>,
) -> Result<(u32, Vec<HashedEntry<H>>), H::Error> {
    let mut same = set_of::<N>(|_| true);
    let mut result: Vec<HashedEntry<H>> = Vec::new();
    while let Some(hash) = leaves.iter().filter_map(Leaf::first_hash).min() {
        let runs = leaves.each_mut().map(|leaf| take_run(leaf, hash));
        let begin = result.len();
        let mut step = Step { rule, hash, same: &mut same, result: &mut result };
        if runs.iter().all(|run| run.len() <= 1) {
            step.single_entries(runs.map(|run| run.first()))?;
        } else {
            let mut collected = [const { Vec::new() }; N];
            for (collected, run) in collected.iter_mut().zip(runs) {
                *collected = reserve::collected::<H, _>(run.iter())?;
            }
            step.runs(collected)?;
        }
        if rule.has_seen_enough() {
            break;
        }
        if result.len() > begin + 1 {
            put_in_order::<H>(&mut result, begin)?;
        }
    }
    Ok((same, result))
}

/// Sorts the entries from `begin` on, which have one hash, by rehash. They were appended map by map.
fn put_in_order<H: Heap>(entries: &mut Vec<HashedEntry<H>>, begin: usize) -> Result<(), H::Error> {
    if H::LowWord::BITS > 0 {
        let run = reserve::collected::<H, _>(entries.drain(begin..))?;
        entries.append(&mut build::in_order::<H, _>(run, |(_, entry)| &entry.key)?);
    }
    Ok(())
}

/// Splits the entries with `hash` off the front of `leaf`.
fn take_run<'a, H: Heap>(leaf: &mut Leaf<'a, H>, hash: HashOf<H>) -> &'a [EntryOf<H>] {
    if leaf.first_hash() != Some(hash) {
        return &[];
    }
    let run = leaf.run_from(0);
    *leaf = leaf.part(run.len()..leaf.entries.len());
    run
}

/// The combination of the entries that several maps have for one hash.
struct Step<'s, H: Heap, R, const N: usize> {
    rule: &'s mut R,
    hash: HashOf<H>,
    /// The maps whose content has been that of the result so far.
    same: &'s mut u32,
    result: &'s mut Vec<HashedEntry<H>>,
}

impl<'a, H: CloningHeap, R: Rule<'a, H, N>, const N: usize> Step<'_, H, R, N> {
    /// Combines at most one entry of each map. Usually they have the same key.
    fn single_entries(&mut self, mut entries: [Option<&'a EntryOf<H>>; N]) -> Result<(), H::Error> {
        for first in 0..N {
            let Some(entry) = entries[first].take() else { continue };
            let mut group = [None; N];
            group[first] = Some(entry);
            for other in first + 1..N {
                let Some(candidate) = entries[other] else { continue };
                if ptr::eq(candidate, entry) || self.rule.same(&entry.key, &candidate.key)? {
                    group[other] = entries[other].take();
                }
            }
            self.decide(group)?;
        }
        Ok(())
    }

    /// Combines runs, if a map has several entries with one hash.
    fn runs(&mut self, runs: [Vec<&'a EntryOf<H>>; N]) -> Result<(), H::Error> {
        let mut grouped = [const { Vec::new() }; N];
        for (grouped, run) in grouped.iter_mut().zip(&runs) {
            *grouped = reserve::filled::<H, bool>(false, run.len())?;
        }
        for first in 0..N {
            for (index, &entry) in runs[first].iter().enumerate() {
                if grouped[first][index] {
                    continue;
                }
                let mut group = [None; N];
                group[first] = Some(entry);
                for other in first + 1..N {
                    let same = |a: &H::Key, b: &H::Key| self.rule.same(a, b);
                    let mut probe = KeyProbe::<H, _> { key: &entry.key, same };
                    let Some(found) = find_in_run::<H>(&runs[other], &mut probe)? else { continue };
                    if !grouped[other][found] {
                        grouped[other][found] = true;
                        group[other] = Some(runs[other][found]);
                    }
                }
                self.decide(group)?;
                if self.rule.has_seen_enough() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Applies the rule to one key.
    fn decide(&mut self, group: [Option<&'a EntryOf<H>>; N]) -> Result<(), H::Error> {
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
        match new {
            Some(entry) => reserve::push::<H, _>(self.result, (self.hash, entry)),
            None => Ok(()),
        }
    }
}
