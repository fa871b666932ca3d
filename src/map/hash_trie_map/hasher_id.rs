//! Which maps hash their keys alike, so that their tries can be walked in lockstep.

use core::sync::atomic::{AtomicU64, Ordering};

/// Stands for the hasher of a map and its clones.
///
/// Hashers cannot be compared: two of one type may have been seeded differently. But a map takes
/// its hasher from the one it derives from, and takes its hasher_id with it. A hasher without state
/// needs none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct HasherId(u64);

static NEXT: AtomicU64 = AtomicU64::new(1);

impl HasherId {
    /// That of a map which has never had an entry.
    pub(super) const UNASSIGNED: Self = Self(0);

    /// Founds a hasher_id, if hashers of the type `S` have state and there is none yet.
    #[inline]
    pub(super) fn ensure_assigned<S>(&mut self) {
        if size_of::<S>() != 0 && *self == Self::UNASSIGNED {
            self.0 = NEXT.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether two maps with hashers of the type `S` are known to hash alike.
    #[inline]
    pub(super) fn is_same_hasher<S>(self, other: Self) -> bool {
        size_of::<S>() == 0 || (self == other && self != Self::UNASSIGNED)
    }
}
