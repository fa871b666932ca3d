//! Building subtrees from entries that are in the order of the trie, bottom-up.
//!
//! ```text
//! sort the entries by hash, stably
//! among those with one hash, drop each but the first with the same key, and keep the last value
//! build(entries, depth):
//!     if they fit into a leaf at this depth: that leaf
//!     else: a branch, with build(range, depth + 1) for each range with one fragment
//! ```
//!
//! All user code (equality of keys) runs before the first node is made. Nothing is hashed twice,
//! nothing is copied twice, and no key is touched but in a run of equal hashes.

use super::branch_mut::BranchMut;
use super::edit::capacity;
use super::hash::Hash;
use super::heap::Heap;
use super::leaf_builder::{LeafBuilder, Source};
use super::node::{EntryOf, Slot};
use super::node_ref::NodeRef;
use super::reserve;
use super::search::{KeyProbe, find_in_run, precedes};
use super::tuning::Shape as _;
use alloc::vec::IntoIter;
use alloc::vec::Vec;
use core::mem;
use core::ops::Range;

/// As many entries as the standard library sorts by insertion, without allocating.
const HANDFUL: usize = 20;

/// From about as many words on, sorting them digit by digit is faster than comparing them: it takes
/// a quarter of the time for 10 000.
const MANY: usize = 1024;

/// An entry with its hash, outside a map.
///
/// ```
/// use ctxvars::map::{ArcHeap, Entry, Hash, Hashed, Trie};
///
/// type Limits = ArcHeap<&'static str, u32>;
/// let retries: Hashed<Limits> = (Hash::mix(1), Entry { key: "retries", value: 3 });
/// let Ok(limits) = Trie::<Limits>::build(vec![retries], |a, b| Ok(a == b));
/// assert_eq!(limits.len(), 1);
/// ```
pub type Hashed<H> = (Hash, EntryOf<H>);

/// The root of a map with these entries; of those with one key, the first key and the last value.
pub(crate) fn build<H: Heap>(
    mut entries: Vec<Hashed<H>>,
    same: impl FnMut(&H::Key, &H::Key) -> Result<bool, H::Error>,
) -> Result<Slot<H>, H::Error> {
    if !entries.is_sorted_by_key(|&(hash, _)| hash) {
        entries = sorted::<H>(entries)?;
    }
    if entries.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        entries = merge_runs::<H>(entries, same)?;
    }
    build_sorted(entries)
}

/// The entries in the order of their hashes; those with one hash stay in their order.
///
/// What is sorted is one word for each, which holds the hash and the place: but for a handful that
/// is faster than sorting the entries, and each of them is moved once.
fn sorted<H: Heap>(mut entries: Vec<Hashed<H>>) -> Result<Vec<Hashed<H>>, H::Error> {
    if entries.len() <= HANDFUL {
        entries.sort_by_key(|&(hash, _)| hash);
        return Ok(entries);
    }
    let words = entries.iter().zip(0_u64..);
    let mut order = reserve::with_capacity::<H, u64>(entries.len())?;
    order.extend(words.map(|((hash, _), place)| u64::from(hash.bits()) << 32 | place));
    if order.len() < MANY {
        order.sort_unstable();
    } else {
        sort_by_digits::<H>(&mut order)?;
    }
    let mut sorted = reserve::with_capacity::<H, Hashed<H>>(entries.len())?;
    // Where an `Option` needs no more room, as for entries that are pointers, this uses the memory
    // of the entries again.
    let mut unsorted: Vec<Option<Hashed<H>>> = entries.into_iter().map(Some).collect();
    // The cast keeps the lower half: the place.
    sorted.extend(order.into_iter().filter_map(|word| unsorted[word as u32 as usize].take()));
    Ok(sorted)
}

/// Sorts words by their upper half, digit by digit from the lowest; words with equal ones stay in
/// their order, which is that of their lower halves.
fn sort_by_digits<H: Heap>(words: &mut Vec<u64>) -> Result<(), H::Error> {
    const DIGIT: u32 = 11;
    let mut other = reserve::filled::<H, u64>(0, words.len())?;
    for shift in (Hash::BITS..2 * Hash::BITS).step_by(DIGIT as usize) {
        let digit = |word: u64| (word >> shift) as usize & ((1 << DIGIT) - 1);
        let mut places = [0; 1 << DIGIT];
        words.iter().for_each(|&word| places[digit(word)] += 1);
        let mut next = 0;
        for place in &mut places {
            next += mem::replace(place, next);
        }
        for &word in words.iter() {
            let place = &mut places[digit(word)];
            other[*place] = word;
            *place += 1;
        }
        mem::swap(words, &mut other);
    }
    Ok(())
}

/// The root of a map with these entries, whose keys differ and which are in order.
pub(crate) fn build_sorted<H: Heap>(entries: Vec<Hashed<H>>) -> Result<Slot<H>, H::Error> {
    subtree(entries, 0)
}

/// As [`build_sorted`], for entries of one subtree at `depth`.
pub(crate) fn subtree<H: Heap>(entries: Vec<Hashed<H>>, depth: u32) -> Result<Slot<H>, H::Error> {
    let count = entries.len();
    if count == 0 {
        return Ok(None);
    }
    build_below(&mut entries.into_iter(), count, depth).map(Some)
}

/// Puts the entries of each run of equal hashes in order, and merges those with one key.
fn merge_runs<H: Heap>(
    entries: Vec<Hashed<H>>,
    mut same: impl FnMut(&H::Key, &H::Key) -> Result<bool, H::Error>,
) -> Result<Vec<Hashed<H>>, H::Error> {
    let mut merged = reserve::with_capacity::<H, Hashed<H>>(entries.len())?;
    let mut run: Vec<EntryOf<H>> = Vec::new();
    let mut entries = entries.into_iter().peekable();
    while let Some((hash, entry)) = entries.next() {
        reserve::push::<H, _>(&mut run, entry)?;
        while let Some((_, entry)) = entries.next_if(|(next, _)| *next == hash) {
            let mut probe = KeyProbe::<H, _> { key: &entry.key, same: &mut same };
            match find_in_run::<H>(&run, &mut probe)? {
                // What is replaced is dropped here, where nothing is half edited.
                Some(index) => run[index].value = entry.value,
                None => {
                    let index = run.partition_point(|kept| precedes::<H>(&kept.key, &entry.key));
                    reserve::reserve::<H, _>(&mut run, 1)?;
                    run.insert(index, entry);
                }
            }
        }
        merged.extend(run.drain(..).map(|entry| (hash, entry)));
    }
    Ok(merged)
}

/// The subtree at `depth` of the next `count` entries, of which there is at least one.
fn build_below<H: Heap>(
    entries: &mut IntoIter<Hashed<H>>,
    count: usize,
    depth: u32,
) -> Result<NodeRef<H>, H::Error> {
    let is_root = depth == 0;
    if count <= capacity::<H>(depth) {
        let mut builder = LeafBuilder::new(count, is_root)?;
        for (hash, entry) in entries.take(count) {
            builder.push(hash, entry);
        }
        return Ok(builder.finish());
    }
    let mut node = NodeRef::branch_of(None, count, false, is_root)?;
    let mut branch = BranchMut::of_new(&mut node);
    let mut left = count;
    while left > 0 {
        let rest = &entries.as_slice()[..left];
        let fragment = rest[0].0.fragment(depth, H::Shape::FRAGMENT_BITS);
        let part = rest
            .partition_point(|(hash, _)| hash.fragment(depth, H::Shape::FRAGMENT_BITS) == fragment);
        let child = build_below(entries, part, depth + 1)?;
        if child.is_traced() {
            branch.mark_traced();
        }
        branch.put(fragment, Some(child));
        left -= part;
    }
    Ok(node)
}

/// The subtree at `depth` with the entries of a leaf and, before the one at an index, a new one.
pub(crate) fn split<H: Heap>(
    source: &Source<'_, H>,
    new: Option<(usize, Hash, EntryOf<H>)>,
    depth: u32,
) -> Result<NodeRef<H>, H::Error> {
    split_range(source, 0..source.leaf.hashes.len(), new, depth)
}

fn split_range<H: Heap>(
    source: &Source<'_, H>,
    mut range: Range<usize>,
    mut new: Option<(usize, Hash, EntryOf<H>)>,
    depth: u32,
) -> Result<NodeRef<H>, H::Error> {
    let is_root = depth == 0;
    let count = range.len() + usize::from(new.is_some());
    if count <= capacity::<H>(depth) {
        let mut builder = LeafBuilder::new(count, is_root)?;
        match new {
            None => builder.take_range(source, range),
            Some((index, hash, entry)) => {
                builder.take_range(source, range.start..index);
                builder.push(hash, entry);
                builder.take_range(source, index..range.end);
            }
        }
        return Ok(builder.finish());
    }
    let mut node = NodeRef::branch_of(None, count, false, is_root)?;
    let mut branch = BranchMut::of_new(&mut node);
    let hashes = source.leaf.hashes;
    let fragment_of = |hash: &Hash| hash.fragment(depth, H::Shape::FRAGMENT_BITS);
    while !range.is_empty() || new.is_some() {
        let old = hashes[range.clone()].first().map(fragment_of);
        let own = new.as_ref().map(|(_, hash, _)| fragment_of(hash));
        let Some(fragment) = old.into_iter().chain(own).min() else { break };
        let part = hashes[range.clone()].partition_point(|hash| fragment_of(hash) == fragment);
        let end = range.start + part;
        let new = if own == Some(fragment) { new.take() } else { None };
        let child = split_range(source, range.start..end, new, depth + 1)?;
        if child.is_traced() {
            branch.mark_traced();
        }
        branch.put(fragment, Some(child));
        range.start = end;
    }
    Ok(node)
}
