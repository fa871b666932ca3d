//! Numbers that are never given out twice in a process.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identifies one value of bindings; [`Version::EMPTY`] is that of all empty ones.
///
/// Unlike a pointer, it is not reused when the value is gone, so comparing versions cannot be
/// fooled. 2^64 of them last for centuries.
///
/// ```
/// use ctxvars::context::Version;
///
/// let (first, second) = (Version::next(), Version::next());
/// assert_ne!(first, second);
/// assert!(![first, second].contains(&Version::EMPTY));
/// assert_eq!(Version::default(), Version::EMPTY);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Version(u64);

/// Versions that a thread takes at a time, so that `next` needs no atomic operation as a rule.
const BLOCK: u64 = 1 << 16;

static NEXT_BLOCK: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

impl Version {
    /// The version of bindings without entries, which are all equal.
    ///
    /// See [`Version`] for an example.
    pub const EMPTY: Self = Self(0);

    /// A version that no bindings ever have.
    ///
    /// ```
    /// use ctxvars::context::Version;
    ///
    /// // A cache of what was found in the bindings of a version.
    /// let cache = (Version::UNUSED, None::<u32>);
    /// assert_ne!(cache.0, Version::EMPTY); // it is right for no bindings yet, nor for empty ones
    /// ```
    pub const UNUSED: Self = Self(u64::MAX);

    /// The bare number.
    ///
    /// ```
    /// use ctxvars::context::Version;
    ///
    /// assert_eq!(Version::EMPTY.number(), 0);
    /// ```
    #[inline]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The version with this number, for a heap that numbers its bindings itself.
    ///
    /// ```
    /// use ctxvars::context::Version;
    ///
    /// let version = Version::next();
    /// assert_eq!(Version::from_number(version.number()), version);
    /// ```
    #[inline]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// A version that has not been given out before. O(1).
    ///
    /// See [`Version`] for an example.
    #[inline]
    pub fn next() -> Self {
        NEXT.with(|next| {
            let mut version = next.get();
            if version % BLOCK == 0 {
                version = NEXT_BLOCK.fetch_add(1, Ordering::Relaxed) * BLOCK;
                // The first of a block marks its start and is not given out.
                version += 1;
            }
            next.set(version + 1);
            Self(version)
        })
    }
}

/// What the heap of bindings keeps in a root: at least their version.
///
/// ```
/// use ctxvars::context::{Version, Versioned};
///
/// /// A tag with room for more than the version.
/// #[derive(Default)]
/// struct Tag {
///     version: Version,
///     reads: u32,
/// }
///
/// impl Versioned for Tag {
///     fn version(&self) -> Version {
///         self.version
///     }
///
///     fn set_version(&mut self, version: Version) {
///         self.version = version;
///     }
/// }
///
/// let mut tag = Tag::default();
/// assert_eq!(tag.version(), Version::EMPTY);
/// tag.set_version(Version::next());
/// assert_ne!(tag.version(), Version::EMPTY);
/// ```
pub trait Versioned {
    /// The version; [`Version::EMPTY`] until it is set.
    fn version(&self) -> Version;
    /// Sets the version of bindings that nobody else can reach yet.
    fn set_version(&mut self, version: Version);
}

impl Versioned for Version {
    #[inline]
    fn version(&self) -> Version {
        *self
    }

    #[inline]
    fn set_version(&mut self, version: Version) {
        *self = version;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn versions_are_unique_across_threads_and_blocks() {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    (0..2 * BLOCK + 7).map(|_| Version::next().0).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut seen = HashSet::from([Version::EMPTY.0]);
        for thread in threads {
            for version in thread.join().unwrap() {
                assert!(seen.insert(version), "version {version} was given out twice");
            }
        }
    }
}
