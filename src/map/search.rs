//! Finding a key.
//!
//! ```text
//! node = root, depth = 0
//! while node is a branch: node = child at fragment(hash, depth), or give up; depth += 1
//! for each entry of the leaf with this hash: the probe decides whether it is the key
//! ```
//!
//! If `node` is still a branch below the last bit of the hash, all keys below it have this hash. A
//! key with a rehash is in the leaf for that rehash, or matches a key without one; these come first.
//! A key without a rehash may match any of them.
//!
//! A probe may run user code and may fail. No node is half edited at that time.

use super::hash::{HighWord, LowWord as _};
use super::heap::Heap;
use super::iter::Iter;
use super::levels::{HashOf, Levels, fragment, rehash_fragment, rehash_or_zero};
use super::node::find::{find_by_fingerprint, find_by_words, has_words};
use super::node::reference::NodeRef;
use super::node::{Children, Contents, EntryOf, Leaf, fragments};
use super::tuning::{LONG_LEAF, Shape as _};
use super::{fingerprints, hash_scan};
use core::borrow::Borrow;

/// The key of a lookup. A closure that decides whether a stored key matches is a probe.
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// use ctxvars::map::Probe;
///
/// /// As the closure `|stored: &u32| Ok(*stored == key)`, with a name.
/// struct Is(u32);
///
/// impl Probe<Numbers> for Is {
///     fn matches(
///         &mut self,
///         stored: &u32,
///         has_hash: impl Fn() -> bool,
///     ) -> Result<bool, Infallible> {
///         Ok(has_hash() && *stored == self.0)
///     }
/// }
///
/// let squares = map([(1, 1), (2, 4), (3, 9)]);
/// let Ok(found) = squares.get(hash(3), Is(3));
/// assert_eq!(found.map(|entry| entry.value), Some(9));
/// ```
pub trait Probe<H: Heap> {
    /// Whether `stored` is the key.
    ///
    /// The two hashes are likely to be equal; `has_hash` tells. A probe need not call it if comparing
    /// the keys is cheaper and runs no user code.
    ///
    /// # Errors
    ///
    /// The comparison of the keys failed.
    fn matches(&mut self, stored: &H::Key, has_hash: impl Fn() -> bool) -> Result<bool, H::Error>;

    /// The rehash of the key, as [`Heap::rehash`]. A key without one is compared with each stored key
    /// that has its hash.
    fn rehash(&self) -> Option<u64> {
        None
    }

    /// Whether `stored` is the key because it is the same object. Where many keys have one hash, this
    /// comes first: it reads no memory of other keys, while a comparison does.
    fn is_identical(&self, _stored: &H::Key) -> bool {
        false
    }
}

impl<H: Heap, F: FnMut(&H::Key) -> Result<bool, H::Error>> Probe<H> for F {
    #[inline]
    fn matches(&mut self, stored: &H::Key, has_hash: impl Fn() -> bool) -> Result<bool, H::Error> {
        Ok((is_compared_first::<H>() || has_hash()) && self(stored)?)
    }
}

/// Whether keys of a heap are compared without comparing their hashes first. That saves a load for
/// each key that is found. Other candidates are rare, and comparing any two keys is allowed.
#[inline]
const fn is_compared_first<H: Heap>() -> bool {
    H::LowWord::BITS == 0
}

/// A probe made of a key and a function that compares two keys.
pub(crate) struct KeyProbe<'a, H: Heap, F> {
    pub(crate) key: &'a H::Key,
    pub(crate) same: F,
}

impl<H: Heap, F> Probe<H> for KeyProbe<'_, H, F>
where
    F: FnMut(&H::Key, &H::Key) -> Result<bool, H::Error>,
{
    #[inline]
    fn matches(&mut self, stored: &H::Key, has_hash: impl Fn() -> bool) -> Result<bool, H::Error> {
        Ok((is_compared_first::<H>() || has_hash()) && (self.same)(self.key, stored)?)
    }

    fn rehash(&self) -> Option<u64> {
        H::rehash(self.key)
    }
}

/// The index of a key in its leaf, or else of the first entry whose high word is not smaller.
pub(crate) enum Position {
    Found(usize),
    Vacant(usize),
}

impl<'a, H: Heap> Leaf<'a, H> {
    /// Looks for the key with `hash`.
    #[inline]
    pub(crate) fn position(
        &self,
        hash: HashOf<H>,
        probe: &mut impl Probe<H>,
    ) -> Result<Position, H::Error> {
        if self.highs.len() > LONG_LEAF {
            return self.position_in_long_leaf(hash, probe);
        }
        Ok(match self.find(hash, probe)? {
            Some((index, _)) => Position::Found(index),
            None => Position::Vacant(self.start_of_high(hash.high)),
        })
    }

    /// The index of the key with `hash`, if it is in the leaf.
    #[inline]
    pub(crate) fn index_of(
        &self,
        hash: HashOf<H>,
        probe: &mut impl Probe<H>,
    ) -> Result<Option<usize>, H::Error> {
        if self.highs.len() > LONG_LEAF {
            return Ok(match self.position_in_long_leaf(hash, probe)? {
                Position::Found(index) => Some(index),
                Position::Vacant(_) => None,
            });
        }
        Ok(self.find(hash, probe)?.map(|(index, _)| index))
    }

    /// The index of the first entry whose high word is not smaller, in a leaf that is not long.
    #[inline]
    fn start_of_high(&self, high: HighWord) -> usize {
        // Counting avoids branches that depend on the hash, which would be mispredicted.
        self.highs.iter().map(|&stored| usize::from(stored < high)).sum()
    }

    /// The index at which a new entry belongs.
    #[inline]
    pub(crate) fn place(&self, hash: HashOf<H>, key: &H::Key) -> usize {
        self.place_for(self.start_of_high(hash.high), hash, key)
    }

    /// The entry with `hash` that matches, and its index, in a leaf that is not long.
    // The compiler considers this too large to inline; a lookup then takes 36 instructions more.
    #[inline(always)]
    fn find(
        &self,
        hash: HashOf<H>,
        probe: &mut impl Probe<H>,
    ) -> Result<Option<(usize, &'a EntryOf<H>)>, H::Error> {
        let mask = match self.fingerprints {
            Some(fingerprints) => fingerprints::match_mask(fingerprints, hash.high.fingerprint()),
            None => hash_scan::match_mask(self.highs, hash.high),
        };
        for index in fragments(mask) {
            // The fingerprints of unused places are zeros, which may equal that of the key.
            let Some(entry) = self.entries.get(index) else { break };
            let has_hash = || {
                let has_high = self.fingerprints.is_none() || self.highs[index] == hash.high;
                has_high && self.lows[index] == hash.low
            };
            if probe.matches(&entry.key, has_hash)? {
                return Ok(Some((index, entry)));
            }
        }
        Ok(None)
    }

    #[cold]
    fn position_in_long_leaf(
        &self,
        hash: HashOf<H>,
        probe: &mut impl Probe<H>,
    ) -> Result<Position, H::Error> {
        let start = self.start_of(hash);
        if start == self.highs.len() || self.hash(start) != hash {
            return Ok(Position::Vacant(start));
        }
        Ok(match find_in_run(self.run_from(start), probe)? {
            Some(index) => Position::Found(start + index),
            None => Position::Vacant(start),
        })
    }

    /// The index of the first entry whose hash is not smaller than `hash`.
    fn start_of(&self, hash: HashOf<H>) -> usize {
        let start = self.highs.partition_point(|&stored| stored < hash.high);
        let rest = &self.highs[start..];
        let end = start + rest.partition_point(|&stored| stored == hash.high);
        start + self.lows[start..end].partition_point(|&stored| stored < hash.low)
    }

    /// The run of entries that starts at `start`.
    pub(crate) fn run_from(&self, start: usize) -> &'a [EntryOf<H>] {
        let hash = self.hash(start);
        let rest = self.highs[start..].iter().zip(&self.lows[start..]);
        // A long leaf is nearly always a single run.
        let last = self.highs.len() - 1;
        let count = if self.hash(last) == hash {
            last + 1 - start
        } else {
            rest.take_while(|&(&high, &low)| HashOf::<H> { high, low } == hash).count()
        };
        &self.entries[start..start + count]
    }

    /// The index at which a new entry belongs, if the entries with its high word start at `start`.
    #[inline]
    pub(crate) fn place_for(&self, start: usize, hash: HashOf<H>, key: &H::Key) -> usize {
        if self.highs.get(start) == Some(&hash.high) { self.place_behind(hash, key) } else { start }
    }

    /// The index at which a new entry belongs: after its run, but before larger rehashes.
    #[cold]
    fn place_behind(&self, hash: HashOf<H>, key: &H::Key) -> usize {
        let start = self.start_of(hash);
        if start == self.highs.len() || self.hash(start) != hash {
            return start;
        }
        let own = rehash_or_zero::<H>(key);
        start + self.run_from(start).partition_point(|entry| rehash_or_zero::<H>(&entry.key) <= own)
    }
}

/// The index of a key in the run with its hash. A key with a rehash is compared only with keys that
/// have the same rehash or none.
pub(crate) fn find_in_run<H: Heap>(
    run: &[impl Borrow<EntryOf<H>>],
    probe: &mut impl Probe<H>,
) -> Result<Option<usize>, H::Error> {
    let key = |index: usize| -> &H::Key { &Borrow::<EntryOf<H>>::borrow(&run[index]).key };
    let before =
        |limit: u64| run.partition_point(|entry| rehash_or_zero::<H>(&entry.borrow().key) < limit);
    let mut end = run.len();
    if H::LowWord::BITS > 0 && run.len() > LONG_LEAF {
        if let Some(rehash) = probe.rehash() {
            let own = rehash.max(1);
            for index in
                (before(own)..run.len()).take_while(|&it| rehash_or_zero::<H>(key(it)) == own)
            {
                if probe.matches(key(index), || true)? {
                    return Ok(Some(index));
                }
            }
            end = before(1);
        }
    }
    for index in 0..end {
        if probe.matches(key(index), || true)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// The end of the path for a hash.
pub(crate) enum PathEnd<'a, H: Heap> {
    /// The leaf with all keys that have this hash.
    Leaf(Leaf<'a, H>),
    /// A branch below which all keys have this hash.
    Colliding(&'a NodeRef<H>),
}

/// The node below `root` with all keys that have `hash`, if there is one.
#[inline(always)] // Otherwise the result is returned through memory.
pub(crate) fn path_end<H: Heap>(root: &NodeRef<H>, hash: HashOf<H>) -> Option<PathEnd<'_, H>> {
    let mut contents = root.contents_of_root();
    let mut depth = 0;
    loop {
        match contents {
            Contents::Leaf(leaf) => return Some(PathEnd::Leaf(leaf)),
            Contents::Branch(children) => {
                if H::LowWord::BITS > 0 && depth == Levels::<H>::AFTER_HIGH {
                    return path_end_below_high_word(&children, hash);
                }
                contents =
                    children.contents_at(hash.high.fragment(depth, H::Shape::FRAGMENT_BITS))?;
                depth += 1;
            }
        }
    }
}

/// As [`path_end`], from a branch below the last bit of the high word.
#[cold]
fn path_end_below_high_word<'a, H: Heap>(
    children: &Children<'a, H>,
    hash: HashOf<H>,
) -> Option<PathEnd<'a, H>> {
    let mut depth = Levels::<H>::AFTER_HIGH;
    let mut node = children.get(fragment::<H>(hash, depth))?;
    loop {
        depth += 1;
        match node.contents() {
            Contents::Leaf(leaf) => return Some(PathEnd::Leaf(leaf)),
            Contents::Branch(_) if depth == Levels::<H>::AFTER_HASH => {
                return Some(PathEnd::Colliding(node));
            }
            Contents::Branch(children) => node = children.get(fragment::<H>(hash, depth))?,
        }
    }
}

/// The matching entry below a branch whose keys all have the hash of the probe, and its index among
/// all entries there if `INDEX`, else 0 or any number.
#[cold]
pub(crate) fn find_colliding<'a, H: Heap, const INDEX: bool>(
    run: &'a NodeRef<H>,
    probe: &mut impl Probe<H>,
) -> Result<Option<(usize, &'a EntryOf<H>)>, H::Error> {
    let rehash = probe.rehash();
    if let Some(word) = rehash.map(|rehash| rehash.max(1)) {
        if let Some(leaf) = leaf_of_rehash(run, word) {
            if let Some(index) = position_by_identity_first(leaf.entries, probe)? {
                let before = if INDEX { entries_before_rehash(run, word) } else { 0 };
                return Ok(Some((before + index, &leaf.entries[index])));
            }
        }
    }
    for (index, (_, entry)) in Iter::below(Some(run), Levels::<H>::AFTER_HASH).enumerate() {
        if rehash.is_some() && H::rehash(&entry.key).is_some() {
            break;
        }
        if probe.matches(&entry.key, || true)? {
            return Ok(Some((index, entry)));
        }
    }
    Ok(None)
}

/// The index of the matching one of some entries, whose keys all have the hash of the probe.
fn position_by_identity_first<H: Heap>(
    entries: &[EntryOf<H>],
    probe: &mut impl Probe<H>,
) -> Result<Option<usize>, H::Error> {
    if let Some(index) = entries.iter().position(|entry| probe.is_identical(&entry.key)) {
        return Ok(Some(index));
    }
    for (index, entry) in entries.iter().enumerate() {
        if probe.matches(&entry.key, || true)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// The leaf for a rehash below a branch whose keys all have one hash.
fn leaf_of_rehash<H: Heap>(run: &NodeRef<H>, word: u64) -> Option<Leaf<'_, H>> {
    let (mut node, mut depth) = (run, Levels::<H>::AFTER_HASH);
    loop {
        match node.contents() {
            Contents::Leaf(leaf) => return Some(leaf),
            Contents::Branch(children) => {
                node = children.get(rehash_fragment::<H>(word, depth))?;
                depth += 1;
            }
        }
    }
}

/// The number of entries before the leaf for a rehash.
fn entries_before_rehash<H: Heap>(run: &NodeRef<H>, word: u64) -> usize {
    let (mut node, mut depth, mut before) = (run, Levels::<H>::AFTER_HASH, 0);
    while let Contents::Branch(children) = node.contents() {
        let fragment = rehash_fragment::<H>(word, depth);
        let earlier = fragments(children.occupied()).take_while(|&it| it < fragment);
        before += earlier.filter_map(|it| children.get(it)).map(NodeRef::len).sum::<usize>();
        let Some(child) = children.get(fragment) else { break };
        (node, depth) = (child, depth + 1);
    }
    before
}

#[cfg(feature = "python")]
impl<H: Heap> NodeRef<H> {
    /// The entry below this root, which may be a placeholder, with `hash` that matches.
    #[inline(always)]
    pub(crate) fn find(
        &self,
        hash: HashOf<H>,
        mut probe: impl Probe<H>,
    ) -> Result<Option<&EntryOf<H>>, H::Error> {
        find(self, hash, &mut probe)
    }
}

/// The entry below `root` with `hash` that matches.
#[inline]
pub(crate) fn find<'a, H: Heap>(
    root: &'a NodeRef<H>,
    hash: HashOf<H>,
    probe: &mut impl Probe<H>,
) -> Result<Option<&'a EntryOf<H>>, H::Error> {
    if const { H::Shape::FINGERPRINTS && H::LowWord::BITS == 0 } {
        return find_by_fingerprint(root, hash, probe);
    }
    if const { has_words::<H>() } {
        return find_by_words(root, hash, probe);
    }
    let leaf = match path_end(root, hash) {
        None => return Ok(None),
        Some(PathEnd::Leaf(leaf)) => leaf,
        Some(PathEnd::Colliding(run)) => {
            return Ok(find_colliding::<H, false>(run, probe)?.map(|(_, entry)| entry));
        }
    };
    if leaf.highs.len() > LONG_LEAF {
        return find_in_long_leaf(leaf.highs, leaf.lows, leaf.entries, hash, probe);
    }
    Ok(leaf.find(hash, probe)?.map(|(_, entry)| entry))
}

/// It takes slices instead of the leaf, which can then stay in registers for short leaves.
#[cold]
fn find_in_long_leaf<'a, H: Heap>(
    highs: &'a [HighWord],
    lows: &'a [H::LowWord],
    entries: &'a [EntryOf<H>],
    hash: HashOf<H>,
    probe: &mut impl Probe<H>,
) -> Result<Option<&'a EntryOf<H>>, H::Error> {
    let leaf = Leaf { highs, lows, entries, fingerprints: None };
    Ok(match leaf.position(hash, probe)? {
        Position::Found(index) => Some(&entries[index]),
        Position::Vacant(_) => None,
    })
}
