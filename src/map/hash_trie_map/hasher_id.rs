//! The identity of a hasher. Maps with the same hasher can be walked in lockstep.

use core::sync::atomic::{AtomicU64, Ordering};

/// Identifies the hasher of a map and of the maps derived from it.
///
/// Hashers cannot be compared: two hashers of one type may have different seeds. But a derived map
/// copies the hasher of its original, and this identity with it. Hashers without state need no
/// identity, because all hashers of their type hash alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct HasherId(u64);

static NEXT: AtomicU64 = AtomicU64::new(1);

impl HasherId {
    /// The identity before the first entry is inserted.
    pub(super) const UNASSIGNED: Self = Self(0);

    /// Assigns a new identity, if there is none yet and hashers of the type `S` have state.
    #[inline]
    pub(super) fn ensure_assigned<S>(&mut self) {
        if size_of::<S>() != 0 && *self == Self::UNASSIGNED {
            self.0 = NEXT.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether two hashers of the type `S` with these identities are known to hash alike.
    #[inline]
    pub(super) fn is_same_hasher<S>(self, other: Self) -> bool {
        size_of::<S>() == 0 || (self == other && self != Self::UNASSIGNED)
    }
}
