//! Combining branches whose leaves may have several slots: see [`Shape::SPANS`].
//!
//! ```text
//!  slot      0   1   2   3   4   5   6   7
//!  map 0   |     leaf      |   -   |  leaf |
//!  map 1   |  leaf | - | L |      leaf     |
//!  runs    | ----- | - | - | ----- | ----- |
//! ```
//!
//! A *run* is the widest aligned span in which no map has the border of two children. The maps are
//! combined run by run. The results are pieces of a new branch, and neighbours that fit into one leaf
//! become one.

use super::lockstep::{
    Outcome, Part, Rule, Split, View, alike, combine_leaves, combine_views,
    outcome_without_descent, set_of,
};
use crate::map::build::{HashedEntry, build_span, is_one_child};
use crate::map::edit::capacity;
use crate::map::heap::CloningHeap;
use crate::map::iter::Iter;
use crate::map::node::branch_mut::BranchMut;
use crate::map::node::leaf_builder::LeafBuilder;
use crate::map::node::reference::NodeRef;
use crate::map::node::{Contents, Node, Span};
use crate::map::reserve;
use alloc::vec::Vec;

#[cfg(doc)]
use crate::map::tuning::Shape;

impl<'a, H: CloningHeap> Split<'a, H> {
    /// The widest aligned span that begins at a slot and has no border of two children.
    fn run_at(&self, slot: usize) -> Span {
        let mut run = Span { first: slot, width: 1 };
        let whole = Span::whole::<H>();
        let Split::Branch(_, children) = self else {
            return if slot == 0 {
                whole
            } else {
                Span { width: 1 << slot.trailing_zeros(), ..run }
            };
        };
        let child = children.get(slot).map(NodeRef::as_ptr);
        while run.width < whole.width && run.first & run.width == 0 {
            let next = run.sibling();
            let is_alike = match child {
                Some(_) => children.get(next.first).map(NodeRef::as_ptr) == child,
                None => children.occupied() & next.mask() == 0,
            };
            if !is_alike {
                break;
            }
            run = run.doubled();
        }
        run
    }

    /// The entries in a run of slots at `depth`, at most one child.
    fn in_run(&self, run: Span, depth: u32) -> View<'a, H> {
        let Part { leaf, traced } = match self {
            Split::Branch(_, children) => {
                let Some(child) = children.get(run.first) else { return View::of(None) };
                let Contents::Leaf(leaf) = child.contents() else { return View::Node(child) };
                let [first, last] =
                    [0, leaf.entries.len() - 1].map(|index| leaf.fragment(index, depth));
                if run.slots().contains(&first) && run.slots().contains(&last) {
                    return View::Node(child);
                }
                Part { leaf, traced: child.is_traced() }
            }
            Split::Part(Part { leaf, traced }) => Part { leaf: *leaf, traced: *traced },
        };
        let len = leaf.entries.len();
        let start = leaf.partition_point(0..len, depth, |it| it < run.first);
        let end = leaf.partition_point(start..len, depth, |it| it < run.first + run.width);
        View::Part(Part { leaf: leaf.part(start..end), traced })
    }
}

/// The content of the result in a run of slots.
enum Piece<H: CloningHeap> {
    Node(NodeRef<H>),
    Entries(Vec<HashedEntry<H>>),
}

impl<H: CloningHeap> Piece<H> {
    fn len(&self) -> usize {
        match self {
            Piece::Node(node) => node.len(),
            Piece::Entries(entries) => entries.len(),
        }
    }

    /// The entries of a view, without a copy if it is a node.
    fn of(view: &View<'_, H>) -> Result<Self, H::Error> {
        match view {
            View::Node(node) => Ok(Piece::Node(NodeRef::clone(node))),
            View::Part(Part { leaf, .. }) => {
                let entries = leaf.entries.iter().enumerate();
                let hashed = entries.map(|(index, entry)| (leaf.hash(index), entry.clone()));
                Ok(Piece::Entries(reserve::collected::<H, _>(hashed)?))
            }
        }
    }
}

/// The pieces, each at the index of its first slot.
type Pieces<H> = [Option<(Span, Piece<H>)>; 16];

/// As [`combine_views`], if one of the maps has a branch.
pub(super) fn combine_spans<'a, H: CloningHeap, const N: usize>(
    splits: &[Split<'a, H>; N],
    depth: u32,
    rule: &mut impl Rule<'a, H, N>,
) -> Result<Outcome<H>, H::Error> {
    let mut same = set_of::<N>(|_| true);
    let mut outcomes: [Option<(Span, RunOutcome<H>)>; 16] = [const { None }; 16];
    let mut slot = 0;
    while slot < Node::<H>::FANOUT {
        let runs = splits.iter().map(|split| split.run_at(slot));
        let run = runs.min_by_key(|run| run.width).unwrap_or(Span::around(slot, 1));
        slot += run.width;
        let views = splits.each_ref().map(|split| split.in_run(run, depth));
        if views.iter().all(View::is_empty) {
            continue;
        }
        let outcome = combine_run_of_slots(&views, run, depth, rule)?;
        if rule.has_seen_enough() {
            return Ok(Outcome::New(None));
        }
        same &= if let RunOutcome::Same(maps) = outcome { maps } else { 0 };
        outcomes[run.first] = Some((run, outcome));
    }
    if same != 0 {
        return Ok(Outcome::Same(same));
    }
    let mut pieces: Pieces<H> = [const { None }; 16];
    for (run, outcome) in outcomes.into_iter().flatten() {
        let piece = match outcome {
            RunOutcome::New(piece) => piece,
            RunOutcome::Same(maps) => {
                let maps = (0..N).filter(|map| maps >> map & 1 != 0);
                let views = || maps.clone().map(|map| splits[map].in_run(run, depth));
                // A node can be shared; a part of a leaf has to be copied.
                let node = views().find(|view| matches!(view, View::Node(_)));
                node.or_else(|| views().next()).as_ref().map(Piece::of).transpose()?
            }
        };
        pieces[run.first] = piece.filter(|piece| piece.len() > 0).map(|piece| (run, piece));
    }
    assemble(pieces, depth).map(Outcome::New)
}

/// The content of the result in a run of slots.
enum RunOutcome<H: CloningHeap> {
    /// The content of these maps, which is the same; one bit for each map.
    Same(u32),
    /// A piece, or nothing.
    New(Option<Piece<H>>),
}

fn combine_run_of_slots<'a, H: CloningHeap, const N: usize>(
    views: &[View<'a, H>; N],
    run: Span,
    depth: u32,
    rule: &mut impl Rule<'a, H, N>,
) -> Result<RunOutcome<H>, H::Error> {
    if run.width == 1 {
        return Ok(match combine_views(views, depth + 1, rule)? {
            Outcome::Same(maps) => RunOutcome::Same(maps),
            Outcome::New(slot) => RunOutcome::New(slot.map(Piece::Node)),
        });
    }
    match outcome_without_descent(alike(views), rule) {
        Some(0) => Ok(RunOutcome::New(None)),
        Some(maps) => Ok(RunOutcome::Same(maps)),
        None => {
            // Branches have one slot.
            let leaves = views.each_ref().map(|view| view.part().leaf);
            let (maps, entries) = combine_leaves(leaves, rule)?;
            Ok(if maps != 0 {
                RunOutcome::Same(maps)
            } else {
                RunOutcome::New(Some(Piece::Entries(entries)))
            })
        }
    }
}

/// The node at `depth` of these pieces: a branch, or a leaf if they fit into one.
fn assemble<H: CloningHeap>(
    mut pieces: Pieces<H>,
    depth: u32,
) -> Result<Option<NodeRef<H>>, H::Error> {
    let len = pieces.iter().flatten().map(|(_, piece)| piece.len()).sum();
    if len == 0 {
        return Ok(None);
    }
    if len <= capacity::<H>(depth) {
        return gathered(&mut pieces, len, depth, depth == 0).map(Some);
    }
    let mut result = NodeRef::branch_of(None, len, false, depth == 0)?;
    let mut branch = BranchMut::of_new(&mut result);
    put_pieces(&mut pieces, Span::whole::<H>(), depth, &mut branch)?;
    Ok(Some(result))
}

/// A leaf of all entries of some pieces of a branch at `depth`.
fn gathered<H: CloningHeap>(
    pieces: &mut [Option<(Span, Piece<H>)>],
    len: usize,
    depth: u32,
    is_root: bool,
) -> Result<NodeRef<H>, H::Error> {
    let mut builder = LeafBuilder::new(len, is_root)?;
    for (_, piece) in pieces.iter_mut().filter_map(Option::take) {
        match piece {
            Piece::Node(node) => {
                for (hash, entry) in Iter::below(Some(&node), depth + 1) {
                    builder.push(hash, entry.clone());
                }
            }
            Piece::Entries(entries) => {
                for (hash, entry) in entries {
                    builder.push(hash, entry);
                }
            }
        }
    }
    Ok(builder.finish())
}

/// Puts the pieces that are in `span` into a new branch at `depth`.
fn put_pieces<H: CloningHeap>(
    pieces: &mut Pieces<H>,
    span: Span,
    depth: u32,
    branch: &mut BranchMut<'_, H>,
) -> Result<(), H::Error> {
    let inside = &mut pieces[span.slots()];
    let len: usize = inside.iter().flatten().map(|(_, piece)| piece.len()).sum();
    if len == 0 {
        return Ok(());
    }
    let mut there = inside.iter_mut().filter(|piece| piece.is_some());
    let only = match (there.next(), there.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    };
    let is_leaf = span.width > 1 && is_one_child::<H>(span, len);
    let child = match only {
        Some(Some((own, Piece::Node(node)))) if is_leaf || *own == span => node.clone(),
        Some(Some((own, Piece::Entries(_)))) if *own == span => {
            let Some((_, Piece::Entries(entries))) = only_piece(inside) else {
                unreachable!("there is one piece")
            };
            return build_span(&mut entries.into_iter(), len, depth, branch, span);
        }
        _ if is_leaf => gathered(inside, len, depth, false)?,
        _ => {
            let [low, high] = span.halves();
            put_pieces(pieces, low, depth, branch)?;
            return put_pieces(pieces, high, depth, branch);
        }
    };
    if child.is_traced() {
        branch.mark_traced();
    }
    branch.put(span, Some(child));
    Ok(())
}

fn only_piece<H: CloningHeap>(pieces: &mut [Option<(Span, Piece<H>)>]) -> Option<(Span, Piece<H>)> {
    pieces.iter_mut().find_map(Option::take)
}
