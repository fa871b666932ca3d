//! Applying the changes of one context to another, over any carrier.
//!
//! The changes lead from bindings called the *base* to other bindings, *theirs*. A three-way merge
//! applies them to the current bindings in O(changes x log n):
//!
//! ```text
//! let ours = the current bindings
//! let merged = merge(base, ours, theirs)        // may call user code, to resolve conflicts
//! let now = the current bindings                // usually they are still `ours`
//! update(|current| current = merge(ours, now, merged), if current is still now)
//! ```
//!
//! The second merge keeps variables that user code has set during the first merge.

use super::bindings::{Bindings, BindingsHeap};
use super::carrier::{Carrier, ErrorOf};
use crate::map::{Compare, Conflict, EntryOf};
use std::mem;

/// The current bindings merged with the changes of another context, before they are installed.
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// use ctxvars::context::Rebased;
/// use ctxvars::map::Compare;
///
/// struct ByEq;
///
/// impl Compare<Globals> for ByEq {
///     fn same(&mut self, a: &Global, b: &Global) -> Result<bool, Infallible> {
///         Ok(a.is(b))
///     }
///
///     fn equal(&mut self, a: &&'static str, b: &&'static str) -> Result<bool, Infallible> {
///         Ok(a == b)
///     }
/// }
///
/// let interpreter = Interpreter::new();
/// let Ok(_) = context::set(&interpreter, Global(1), "one");
/// let Ok(base) = interpreter.current();
/// let mut theirs = base.clone();
/// let Ok(_) = theirs.set(Global(1), "changed by them");
/// let Ok(_) = context::set(&interpreter, Global(1), "changed by us");
/// let Ok(_) = context::set(&interpreter, Global(2), "two");
///
/// let latest = |[_base, _ours, theirs]: [Option<&ctxvars::map::Entry<Global, &'static str>>; 3]| {
///     Ok(theirs.map(|entry| entry.value))
/// };
/// let Ok(rebased) = Rebased::new(&interpreter, &base, &theirs, &mut ByEq, latest);
/// let Ok(()) = rebased.install(&interpreter, &mut ByEq, |_| unreachable!("nothing was set meanwhile"));
/// assert_eq!(interpreter.get(&Global(1)), Some("changed by them"));
/// assert_eq!(interpreter.get(&Global(2)), Some("two"));
/// ```
pub struct Rebased<H: BindingsHeap> {
    /// The bindings that were current when the merge began.
    ours: Bindings<H>,
    merged: Bindings<H>,
}

impl<H: BindingsHeap> Rebased<H> {
    /// Merges the changes from `base` to `theirs` with the current bindings, which do not change yet.
    /// O(changes x log n).
    ///
    /// `resolve` is called for each variable that both have changed in different ways. It returns the
    /// value to keep, or `None` to leave the variable unset.
    ///
    /// # Errors
    ///
    /// The first error of the carrier, of a comparison or of `resolve`.
    ///
    /// See [`Rebased`] for an example.
    pub fn new<C: Carrier<Heap = H>>(
        carrier: &C,
        base: &Bindings<H>,
        theirs: &Bindings<H>,
        compare: &mut impl Compare<H>,
        resolve: impl FnMut(Conflict<'_, H>) -> Result<Option<H::Value>, H::Error>,
    ) -> Result<Self, ErrorOf<C>> {
        let ours = carrier.current()?;
        let merged = base.merge(&ours, theirs, compare, resolve)?;
        Ok(Self { ours, merged })
    }

    /// Makes the merged bindings current, and keeps variables that were set during the merge. O(1) if
    /// none were.
    ///
    /// # Errors
    ///
    /// The carrier failed; or a variable was both set meanwhile and changed by the merge, for which
    /// `conflict_error` returns the error. The current bindings are unchanged then.
    ///
    /// See [`Rebased`] for an example.
    pub fn install<C: Carrier<Heap = H>>(
        self,
        carrier: &C,
        compare: &mut impl Compare<H>,
        mut conflict_error: impl FnMut(&EntryOf<H>) -> H::Error,
    ) -> Result<(), ErrorOf<C>> {
        if self.merged.version() == self.ours.version() {
            return Ok(()); // There are no changes to apply.
        }
        let mut now = carrier.current()?;
        loop {
            let merged = self.ours.merge(&now, &self.merged, compare, |entries| {
                entries
                    .into_iter()
                    .flatten()
                    .next()
                    .map_or(Ok(None), |entry| Err(conflict_error(entry)))
            })?;
            // The merge may have run user code that has set variables: then it is done again. The
            // replaced bindings are dropped after the update, because destructors may run user code.
            let (replaced, _) = carrier.update(|current| {
                let is_now = current.version() == now.version();
                Ok(is_now.then(|| mem::replace(current, merged)))
            })?;
            if replaced.is_some() {
                return Ok(());
            }
            now = carrier.current()?;
        }
    }
}
