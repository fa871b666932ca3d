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
use super::node::{Contents, EntryOf, Leaf, fragments};
use super::node_ref::NodeRef;
use super::tuning::{LONG_LEAF, Shape as _};
use super::wide;
use core::cmp::Ordering;

/// A key that is looked for. A closure that tells whether a stored key is the one is a probe.
///
/// ```
#[doc = include_str!("example.txt")]
/// use ctxvars::map::Probe;
///
/// /// As the closure `|stored: &u32| Ok(*stored == key)`, with a name.
/// struct Is(u32);
///
/// impl Probe<Numbers> for Is {
///     fn matches(&mut self, stored: &u32) -> Result<bool, Infallible> {
///         Ok(*stored == self.0)
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
    /// # Errors
    ///
    /// Whatever comparing keys may raise.
    fn matches(&mut self, stored: &H::Key) -> Result<bool, H::Error>;

    /// Where `stored` lies relative to the key, in the order of [`Heap::order`].
    fn order(&self, stored: &H::Key) -> Option<Ordering> {
        let _ = stored;
        None
    }
}

impl<H: Heap, F: FnMut(&H::Key) -> Result<bool, H::Error>> Probe<H> for F {
    #[inline]
    fn matches(&mut self, stored: &H::Key) -> Result<bool, H::Error> {
        self(stored)
    }
}

/// A key of the heap that is looked for with a function that compares two keys.
pub(crate) struct KeyProbe<'a, H: Heap, F> {
    pub(crate) key: &'a H::Key,
    pub(crate) same: F,
}

impl<H: Heap, F> Probe<H> for KeyProbe<'_, H, F>
where
    F: FnMut(&H::Key, &H::Key) -> Result<bool, H::Error>,
{
    #[inline]
    fn matches(&mut self, stored: &H::Key) -> Result<bool, H::Error> {
        (self.same)(self.key, stored)
    }

    fn order(&self, stored: &H::Key) -> Option<Ordering> {
        H::order(stored, self.key)
    }
}

/// Where a key is in its leaf, or where the entries with its hash begin.
pub(crate) enum Position {
    Found(usize),
    Vacant(usize),
}

impl<'a, H: Heap> Leaf<'a, H> {
    /// Looks for the key with `hash`.
    #[inline]
    pub(crate) fn position(
        &self,
        hash: Hash,
        probe: &mut impl Probe<H>,
    ) -> Result<Position, H::Error> {
        if self.hashes.len() > LONG_LEAF {
            return self.position_in_long_leaf(hash, probe);
        }
        Ok(match self.find(hash, probe)? {
            Some((index, _)) => Position::Found(index),
            // Counting makes no branch that depends on the hash.
            None => {
                Position::Vacant(self.hashes.iter().map(|&stored| usize::from(stored < hash)).sum())
            }
        })
    }

    /// The entry with `hash` that is the one looked for, and its index, in a leaf that is not long.
    #[inline]
    fn find(
        &self,
        hash: Hash,
        probe: &mut impl Probe<H>,
    ) -> Result<Option<(usize, &'a EntryOf<H>)>, H::Error> {
        let equal = if H::Shape::LEAF_STEP % wide::LANES == 0 {
            wide::equal_in_steps(self.hashes_and_room, hash)
        } else {
            wide::equal(self.hashes, hash)
        };
        for index in fragments(equal) {
            // Where there is room only, the hash may happen to be that of no key.
            let Some(entry) = self.entries.get(index) else { break };
            if probe.matches(&entry.key)? {
                return Ok(Some((index, entry)));
            }
        }
        Ok(None)
    }

    #[cold]
    fn position_in_long_leaf(
        &self,
        hash: Hash,
        probe: &mut impl Probe<H>,
    ) -> Result<Position, H::Error> {
        let start = self.hashes.partition_point(|&stored| stored < hash);
        if self.hashes.get(start) != Some(&hash) {
            return Ok(Position::Vacant(start));
        }
        let run = self.run_from(start);
        Ok(match find_in_run(run, probe)? {
            Some(index) => Position::Found(start + index),
            None => Position::Vacant(start),
        })
    }

    /// The entries from `start` on that have the same hash.
    pub(crate) fn run_from(&self, start: usize) -> &'a [EntryOf<H>] {
        let rest = &self.hashes[start..];
        let same = |stored: &Hash| *stored == rest[0];
        let count = if rest.len() > LONG_LEAF {
            rest.partition_point(same)
        } else {
            rest.iter().take_while(|&stored| same(stored)).count()
        };
        &self.entries[start..start + count]
    }

    /// Where a new entry with `hash` and `key` belongs, if those with its hash begin at `start`.
    pub(crate) fn place_for(&self, start: usize, hash: Hash, key: &H::Key) -> usize {
        if self.hashes.get(start) != Some(&hash) {
            return start;
        }
        let run = self.run_from(start);
        start + run.partition_point(|entry| precedes::<H>(&entry.key, key))
    }
}

/// Whether `a` stays in front of `b` in a run of equal hashes, where both are different keys: those
/// that can be put in order come first.
pub(crate) fn precedes<H: Heap>(a: &H::Key, b: &H::Key) -> bool {
    match H::order(a, b) {
        Some(order) => order == Ordering::Less,
        None => H::order(a, a).is_some() || H::order(b, b).is_none(),
    }
}

/// The index of a key among entries with its hash. O(1) calls of `matches` among keys that can be
/// put in order, if the key can, and one call for each other key.
pub(crate) fn find_in_run<H: Heap>(
    run: &[EntryOf<H>],
    probe: &mut impl Probe<H>,
) -> Result<Option<usize>, H::Error> {
    let mut rest = 0;
    if run.len() > LONG_LEAF {
        // The ordered keys come first; among them the key is at one place or nowhere.
        let place = run.partition_point(|entry| probe.order(&entry.key) == Some(Ordering::Less));
        let is_it = |entry: &&EntryOf<H>| probe.order(&entry.key) == Some(Ordering::Equal);
        if let Some(entry) = run.get(place).filter(is_it) {
            return Ok(probe.matches(&entry.key)?.then_some(place));
        }
        rest = run.partition_point(|entry| probe.order(&entry.key).is_some());
    }
    for (index, entry) in run.iter().enumerate().skip(rest) {
        if probe.matches(&entry.key)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// The leaf that holds every key with `hash` below `root`, if there is one.
#[inline]
pub(crate) fn leaf_for<H: Heap>(root: &NodeRef<H>, hash: Hash) -> Option<Leaf<'_, H>> {
    leaf_below(root, 0, hash)
}

/// As [`leaf_for`], from a node at `depth`.
#[inline]
pub(crate) fn leaf_below<H: Heap>(
    node: &NodeRef<H>,
    mut depth: u32,
    hash: Hash,
) -> Option<Leaf<'_, H>> {
    let mut contents = if depth == 0 { node.contents_of_root() } else { node.contents() };
    loop {
        match contents {
            Contents::Leaf(leaf) => return Some(leaf),
            Contents::Branch(children) => {
                contents = children.contents_at(hash.fragment(depth, H::Shape::FRAGMENT_BITS))?;
                depth += 1;
            }
        }
    }
}

/// The entry below `root` with `hash` that is the one looked for.
#[inline]
pub(crate) fn find<'a, H: Heap>(
    root: &'a NodeRef<H>,
    hash: Hash,
    probe: &mut impl Probe<H>,
) -> Result<Option<&'a EntryOf<H>>, H::Error> {
    let Some(leaf) = leaf_for(root, hash) else { return Ok(None) };
    if leaf.hashes.len() > LONG_LEAF {
        return find_in_long_leaf(leaf.hashes, leaf.entries, hash, probe);
    }
    Ok(leaf.find(hash, probe)?.map(|(_, entry)| entry))
}

/// Takes slices, not the leaf, which then needs no memory on the way to an entry of a short leaf.
#[cold]
fn find_in_long_leaf<'a, H: Heap>(
    hashes: &'a [Hash],
    entries: &'a [EntryOf<H>],
    hash: Hash,
    probe: &mut impl Probe<H>,
) -> Result<Option<&'a EntryOf<H>>, H::Error> {
    let leaf = Leaf { hashes, entries, hashes_and_room: hashes };
    Ok(match leaf.position(hash, probe)? {
        Position::Found(index) => Some(&entries[index]),
        Position::Vacant(_) => None,
    })
}
