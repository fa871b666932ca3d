//! Comparing keys and values.

use crate::map::heap::Heap;

/// The comparisons of keys and values that operations on whole maps need. They may run user code.
///
/// ```
/// use ctxvars::map::{ArcHeap, Compare, Trie};
/// use std::convert::Infallible;
///
/// /// Compares keys and values by `==`.
/// struct ByEq;
///
/// impl<K: Clone + Eq, V: Clone + PartialEq> Compare<ArcHeap<K, V>> for ByEq {
///     fn same(&mut self, a: &K, b: &K) -> Result<bool, Infallible> {
///         Ok(a == b)
///     }
///
///     fn equal(&mut self, a: &V, b: &V) -> Result<bool, Infallible> {
///         Ok(a == b)
///     }
/// }
///
/// let empty = Trie::<ArcHeap<&str, u32>>::new();
/// assert_eq!(empty.equal(&Trie::new(), &mut ByEq), Ok(true));
/// ```
pub trait Compare<H: Heap> {
    /// Whether two keys with the same hash are the same key.
    ///
    /// # Errors
    ///
    /// The comparison failed.
    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error>;

    /// Whether two values of one key are equal.
    ///
    /// # Errors
    ///
    /// The comparison failed.
    fn equal(&mut self, a: &H::Value, b: &H::Value) -> Result<bool, H::Error>;
}
