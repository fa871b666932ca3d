//! Numbers that are unique in a process.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identifies one state of bindings. All empty bindings have [`Version::EMPTY`].
///
/// Unlike an address, a version is not reused after the bindings are freed. 2^64 versions last for
/// centuries.
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

/// The number of versions that a thread reserves at a time, so that most calls of `next` need no
/// atomic operation.
const BLOCK: u64 = 1 << 16;

static NEXT_BLOCK: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

impl Version {
    /// The version of empty bindings.
    ///
    /// See [`Version`] for an example.
    pub const EMPTY: Self = Self(0);

    /// A version that no bindings have.
    ///
    /// ```
    /// use ctxvars::context::Version;
    ///
    /// // A cache of a lookup: the version of the bindings, and the result.
    /// let cache = (Version::UNUSED, None::<u32>);
    /// assert_ne!(cache.0, Version::EMPTY); // valid for no bindings, not even empty ones
    /// ```
    pub const UNUSED: Self = Self(u64::MAX);

    /// The number.
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

    /// The version with this number, for heaps that number their bindings themselves.
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

    /// A new version. O(1).
    ///
    /// See [`Version`] for an example.
    #[inline]
    pub fn next() -> Self {
        NEXT.with(|next| {
            let mut version = next.get();
            if version % BLOCK == 0 {
                version = NEXT_BLOCK.fetch_add(1, Ordering::Relaxed) * BLOCK;
                // The first number of a block marks its start, and is not a version.
                version += 1;
            }
            next.set(version + 1);
            Self(version)
        })
    }
}

/// The tag in the root of bindings: it has their version.
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
    /// Sets the version of new bindings, which are unshared.
    fn set_version(&mut self, version: Version);
    /// Sets the version after a value has been replaced where it was. All other entries, and the
    /// places of all values, are as before.
    ///
    /// A tag with data that depends on the values resets it here.
    #[inline]
    fn set_version_in_place(&mut self, version: Version) {
        self.set_version(version);
    }
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
                assert!(seen.insert(version), "version {version} is not unique");
            }
        }
    }
}
