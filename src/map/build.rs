//! Building a map from many entries: they are sorted, and then become subtrees bottom-up.
//!
//! ```text
//! sort the entries by hash, stably
//! in each run of equal hashes: merge entries with the same key (first key, last value),
//!     sort the run by rehash
//! build(entries, depth):
//!     if they fit into a leaf at this depth: that leaf
//!     else: a branch with build(range, depth + 1) for each range with one fragment
//! ```
//!
//! All user code (equality of keys) runs before the first node is allocated. Keys are compared in
//! runs of equal hashes only. Keys are not hashed again, and each entry is moved once or twice.

use super::edit::{capacity, is_one_run};
use super::hash::{HighWord, LowWord as _};
use super::heap::{CloningHeap, Heap};
use super::levels::{
    HashOf, Levels, fragment, fragment_of, partition_point, rehash_fragment, rehash_or_zero,
};
use super::node::branch_mut::BranchMut;
use super::node::leaf_builder::{LeafBuilder, Source};
use super::node::reference::NodeRef;
use super::node::{EntryOf, Node, Slot, Span};
use super::reserve;
use super::search::{KeyProbe, find_in_run};
use super::tuning::{LONG_LEAF, Shape as _};
use alloc::vec::IntoIter;
use alloc::vec::Vec;
use core::mem;
use core::ops::Range;

/// Up to this length, the standard library sorts by insertion, without allocating.
const INSERTION_SORT_LEN: usize = 20;

/// From this length on, a radix sort is faster than a comparison sort: for 10 000 words, it takes a
/// quarter of the time.
const RADIX_SORT_LEN: usize = 1024;

/// An entry outside of a map, with its hash.
///
/// ```
/// use ctxvars::map::{ArcHeap, Entry, Hash, HashedEntry, Trie};
///
/// type Limits = ArcHeap<&'static str, u32>;
/// let retries: HashedEntry<Limits> = (Hash::mix(1), Entry { key: "retries", value: 3 });
/// let Ok(limits) = Trie::<Limits>::build(vec![retries], |a, b| Ok(a == b));
/// assert_eq!(limits.len(), 1);
/// ```
pub type HashedEntry<H> = (HashOf<H>, EntryOf<H>);

/// The root of a map with these entries; of entries with the same key, the first key and the last value.
pub(crate) fn build<H: Heap>(
    mut entries: Vec<HashedEntry<H>>,
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

/// Sorts the entries by hash. The sort is stable.
///
/// It sorts one integer for each entry, made of the high word and the index, and then moves each
/// entry once. Except for a few entries, that is faster than sorting the entries themselves.
fn sorted<H: Heap>(mut entries: Vec<HashedEntry<H>>) -> Result<Vec<HashedEntry<H>>, H::Error> {
    if entries.len() <= INSERTION_SORT_LEN {
        entries.sort_by_key(|&(hash, _)| hash);
        return Ok(entries);
    }
    let words = entries.iter().zip(0_u64..);
    let mut order = reserve::with_capacity::<H, u64>(entries.len())?;
    order.extend(words.map(|((hash, _), place)| u64::from(hash.high.bits()) << 32 | place));
    if order.len() < RADIX_SORT_LEN {
        order.sort_unstable();
    } else {
        sort_by_digits::<H>(&mut order)?;
    }
    if H::LowWord::BITS > 0 {
        // Many entries have the same high word only under an attack.
        for words in order.chunk_by_mut(|a, b| a >> HighWord::BITS == b >> HighWord::BITS) {
            if words.len() > 1 {
                words.sort_unstable_by_key(|&word| (entries[word as u32 as usize].0, word));
            }
        }
    }
    let mut sorted = reserve::with_capacity::<H, HashedEntry<H>>(entries.len())?;
    // If `Option` adds no size, as for entries with pointers, `collect` reuses the memory of the
    // entries.
    let mut unsorted: Vec<Option<HashedEntry<H>>> = entries.into_iter().map(Some).collect();
    // The cast keeps the lower half, which is the index.
    sorted.extend(order.into_iter().filter_map(|word| unsorted[word as u32 as usize].take()));
    Ok(sorted)
}

/// Radix sort by the upper half of each word. It is stable, so words with equal upper halves stay in
/// the order of their lower halves.
fn sort_by_digits<H: Heap>(words: &mut Vec<u64>) -> Result<(), H::Error> {
    const DIGIT: u32 = 11;
    let mut other = reserve::filled::<H, u64>(0, words.len())?;
    for shift in (HighWord::BITS..2 * HighWord::BITS).step_by(DIGIT as usize) {
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

/// The root of a map with these entries, which are sorted and have different keys.
pub(crate) fn build_sorted<H: Heap>(entries: Vec<HashedEntry<H>>) -> Result<Slot<H>, H::Error> {
    subtree(entries, 0)
}

/// As [`build_sorted`], for the entries of one subtree at `depth`.
pub(crate) fn subtree<H: Heap>(
    entries: Vec<HashedEntry<H>>,
    depth: u32,
) -> Result<Slot<H>, H::Error> {
    let count = entries.len();
    if count == 0 {
        return Ok(None);
    }
    build_below(&mut entries.into_iter(), count, depth, &[]).map(Some)
}

/// In each run of equal hashes, merges entries with the same key, and sorts the run by rehash.
fn merge_runs<H: Heap>(
    entries: Vec<HashedEntry<H>>,
    mut same: impl FnMut(&H::Key, &H::Key) -> Result<bool, H::Error>,
) -> Result<Vec<HashedEntry<H>>, H::Error> {
    let mut merged = reserve::with_capacity::<H, HashedEntry<H>>(entries.len())?;
    let mut run: Vec<EntryOf<H>> = Vec::new();
    let mut entries = entries.into_iter().peekable();
    while let Some((hash, entry)) = entries.next() {
        reserve::push::<H, _>(&mut run, entry)?;
        while let Some((_, entry)) = entries.next_if(|(next, _)| *next == hash) {
            reserve::push::<H, _>(&mut run, entry)?;
        }
        if H::LowWord::BITS > 0 && run.len() > LONG_LEAF {
            run = merge_long_run::<H>(run, &mut same)?;
        } else if run.len() > 1 {
            run = merge_run::<H>(run, &mut same)?;
        }
        merged.extend(run.drain(..).map(|entry| (hash, entry)));
    }
    Ok(merged)
}

/// As [`merge_run`], in O(n log n) if all keys have rehashes.
#[cold]
fn merge_long_run<H: Heap>(
    run: Vec<EntryOf<H>>,
    mut same: impl FnMut(&H::Key, &H::Key) -> Result<bool, H::Error>,
) -> Result<Vec<EntryOf<H>>, H::Error> {
    let words =
        run.iter().enumerate().map(|(place, entry)| (rehash_or_zero::<H>(&entry.key), place));
    let mut order = reserve::collected::<H, _>(words)?;
    order.sort_unstable();
    let has_unrehashed = order.first().is_some_and(|&(word, _)| word == 0);
    // The entries of each rehash that have been merged so far, and the group of each entry.
    let mut groups: Vec<Vec<EntryOf<H>>> = Vec::new();
    let mut group_of = reserve::filled::<H, usize>(0, run.len())?;
    for group in order.chunk_by(|a, b| a.0 == b.0) {
        group.iter().for_each(|&(_, place)| group_of[place] = groups.len());
        let room = reserve::with_capacity::<H, EntryOf<H>>(group.len())?;
        reserve::push::<H, _>(&mut groups, room)?;
    }
    let mut count = 0;
    for (entry, own) in run.into_iter().zip(group_of) {
        // A key without a rehash may match any other key.
        let others = if !has_unrehashed {
            0..0
        } else if own == 0 {
            1..groups.len()
        } else {
            0..1
        };
        let mut found = None;
        for group in [own].into_iter().chain(others) {
            let mut probe = KeyProbe::<H, _> { key: &entry.key, same: &mut same };
            if let Some(index) = find_in_run::<H>(&groups[group], &mut probe)? {
                found = Some((group, index));
                break;
            }
        }
        match found {
            // The old value is dropped here, where no node is half edited.
            Some((group, index)) => groups[group][index].value = entry.value,
            None => {
                groups[own].push(entry);
                count += 1;
            }
        }
    }
    let mut merged = reserve::with_capacity::<H, EntryOf<H>>(count)?;
    merged.extend(groups.into_iter().flatten());
    Ok(merged)
}

/// As [`merge_runs`], for a single run. It compares each key with all others.
fn merge_run<H: Heap>(
    run: Vec<EntryOf<H>>,
    mut same: impl FnMut(&H::Key, &H::Key) -> Result<bool, H::Error>,
) -> Result<Vec<EntryOf<H>>, H::Error> {
    let mut merged = reserve::with_capacity::<H, EntryOf<H>>(run.len())?;
    for entry in run {
        let mut probe = KeyProbe::<H, _> { key: &entry.key, same: &mut same };
        match find_in_run::<H>(&merged, &mut probe)? {
            // The old value is dropped here, where no node is half edited.
            Some(index) => merged[index].value = entry.value,
            None => merged.push(entry),
        }
    }
    in_order::<H, _>(merged, |entry| &entry.key)
}

/// Sorts items, whose keys have one hash, by rehash. The sort is stable.
pub(crate) fn in_order<H: Heap, T>(
    items: Vec<T>,
    key_of: impl Fn(&T) -> &H::Key,
) -> Result<Vec<T>, H::Error> {
    if H::LowWord::BITS == 0 || items.len() < 2 {
        return Ok(items);
    }
    let words =
        items.iter().enumerate().map(|(place, item)| (rehash_or_zero::<H>(key_of(item)), place));
    let mut order = reserve::collected::<H, _>(words)?;
    if order.is_sorted() {
        return Ok(items);
    }
    order.sort_unstable();
    let mut items = reserve::collected::<H, _>(items.into_iter().map(Some))?;
    let mut sorted = reserve::with_capacity::<H, T>(items.len())?;
    sorted.extend(order.into_iter().filter_map(|(_, place)| items[place].take()));
    Ok(sorted)
}

/// The subtree at `depth` of the next `count` entries, at least one. Below the last bit of the hash,
/// `known_words` are the rehashes of the keys (or 0), if they have been computed already.
fn build_below<H: Heap>(
    entries: &mut IntoIter<HashedEntry<H>>,
    count: usize,
    depth: u32,
    known_words: &[u64],
) -> Result<NodeRef<H>, H::Error> {
    let is_root = depth == 0;
    let mut is_leaf = count <= capacity::<H>(depth);
    let computed: Vec<u64>;
    let mut words = known_words;
    if H::LowWord::BITS > 0 && depth >= Levels::<H>::AFTER_HASH && !is_leaf {
        if words.is_empty() {
            let all = &entries.as_slice()[..count];
            computed = all.iter().map(|(_, entry)| rehash_or_zero::<H>(&entry.key)).collect();
            words = &computed;
        }
        is_leaf = words.first() == words.last();
    }
    if is_leaf {
        let mut builder = LeafBuilder::new(count, is_root)?;
        for (hash, entry) in entries.take(count) {
            builder.push(hash, entry);
        }
        return Ok(builder.finish());
    }
    let mut node = NodeRef::branch_of(None, count, false, is_root)?;
    let mut branch = BranchMut::of_new(&mut node);
    if H::Shape::SPANS {
        build_span(entries, count, depth, &mut branch, Span::whole::<H>())?;
        return Ok(node);
    }
    let mut left = count;
    while left > 0 {
        let rest = &entries.as_slice()[..left];
        let fragment_at = |index: usize| match words.get(index) {
            None => fragment::<H>(rest[index].0, depth),
            Some(&word) => rehash_fragment::<H>(word, depth),
        };
        let fragment = fragment_at(0);
        let part = partition_point(0..left, |index| fragment_at(index) == fragment);
        let (part_of_words, rest_of_words) = words.split_at(part.min(words.len()));
        words = rest_of_words;
        let child = build_below(entries, part, depth + 1, part_of_words)?;
        if child.is_traced() {
            branch.mark_traced();
        }
        branch.put(Span::around(fragment, 1), Some(child));
        left -= part;
    }
    Ok(node)
}

/// Puts the next `count` entries into a span of a new branch at `depth`, whose slots are empty. In a
/// shape with spans, entries that fit into a leaf are one.
pub(crate) fn build_span<H: Heap>(
    entries: &mut IntoIter<HashedEntry<H>>,
    count: usize,
    depth: u32,
    branch: &mut BranchMut<'_, H>,
    span: Span,
) -> Result<(), H::Error> {
    if count == 0 {
        return Ok(());
    }
    if is_one_child::<H>(span, count) {
        let child = build_below(entries, count, depth + 1, &[])?;
        if child.is_traced() {
            branch.mark_traced();
        }
        branch.put(span, Some(child));
        return Ok(());
    }
    let [low, high] = span.halves();
    let part = entries.as_slice()[..count]
        .partition_point(|&(hash, _)| fragment::<H>(hash, depth) < high.first);
    build_span(entries, part, depth, branch, low)?;
    build_span(entries, count - part, depth, branch, high)
}

/// Whether `count` entries in a span of a branch are one child.
#[inline]
pub(crate) fn is_one_child<H: Heap>(span: Span, count: usize) -> bool {
    span.width == 1 || (span.width < Node::<H>::FANOUT && count <= H::Shape::LEAF_CAPACITY)
}

/// The subtree at `depth` of the entries of a leaf and, optionally, a new entry before the one at an
/// index.
pub(crate) fn split<H: CloningHeap>(
    source: &Source<'_, H>,
    new: Option<(usize, HashOf<H>, EntryOf<H>)>,
    depth: u32,
) -> Result<NodeRef<H>, H::Error> {
    split_range(source, 0..source.leaf.highs.len(), new, depth)
}

fn split_range<H: CloningHeap>(
    source: &Source<'_, H>,
    mut range: Range<usize>,
    mut new: Option<(usize, HashOf<H>, EntryOf<H>)>,
    depth: u32,
) -> Result<NodeRef<H>, H::Error> {
    let is_root = depth == 0;
    let count = range.len() + usize::from(new.is_some());
    let leaf = &source.leaf;
    let is_leaf = count <= capacity::<H>(depth) || {
        let first = &leaf.entries[range.start].key;
        let others = new.as_ref().map(|(_, _, entry)| &entry.key);
        let mut others = others.into_iter().chain([&leaf.entries[range.end - 1].key]);
        others.all(|other| is_one_run::<H>(depth, first, other))
    };
    if is_leaf {
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
    if H::Shape::SPANS {
        split_span(source, range, new, depth, &mut branch, Span::whole::<H>())?;
        return Ok(node);
    }
    let own = new.as_ref().map(|(_, hash, entry)| fragment_of::<H>(*hash, &entry.key, depth));
    while !range.is_empty() || new.is_some() {
        let old = (!range.is_empty()).then(|| leaf.fragment(range.start, depth));
        let own = own.filter(|_| new.is_some());
        let Some(fragment) = old.into_iter().chain(own).min() else { break };
        let end = leaf.partition_point(range.clone(), depth, |it| it == fragment);
        let new = if own == Some(fragment) { new.take() } else { None };
        let child = split_range(source, range.start..end, new, depth + 1)?;
        if child.is_traced() {
            branch.mark_traced();
        }
        branch.put(Span::around(fragment, 1), Some(child));
        range.start = end;
    }
    Ok(node)
}

/// As [`build_span`], for entries of a leaf and, optionally, a new entry before the one at an index.
fn split_span<H: CloningHeap>(
    source: &Source<'_, H>,
    range: Range<usize>,
    mut new: Option<(usize, HashOf<H>, EntryOf<H>)>,
    depth: u32,
    branch: &mut BranchMut<'_, H>,
    span: Span,
) -> Result<(), H::Error> {
    let count = range.len() + usize::from(new.is_some());
    if count == 0 {
        return Ok(());
    }
    if is_one_child::<H>(span, count) {
        let child = split_range(source, range, new, depth + 1)?;
        if child.is_traced() {
            branch.mark_traced();
        }
        branch.put(span, Some(child));
        return Ok(());
    }
    let [low, high] = span.halves();
    let middle = source.leaf.partition_point(range.clone(), depth, |it| it < high.first);
    let is_lower =
        new.as_ref().is_some_and(|&(_, hash, _)| fragment::<H>(hash, depth) < high.first);
    let new_below = if is_lower { new.take() } else { None };
    split_span(source, range.start..middle, new_below, depth, branch, low)?;
    split_span(source, middle..range.end, new, depth, branch, high)
}
