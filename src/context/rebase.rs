//! Bringing the changes of one context into another, over any carrier.
//!
//! The changes are what leads from one value of the bindings, the *base*, to another. They are
//! merged into the current bindings, three ways, in O(changes x log n):
//!
//! ```text
//! let ours = the current bindings
//! let merged = merge(base, ours, theirs)        // may call user code, to resolve conflicts
//! update(|now| now = merge(ours, now, merged))  // calls none; `now` is `ours`, as a rule
//! ```
//!
//! The second merge keeps what the user code of the first one has set.

use super::bindings::{Bindings, BindingsHeap};
use super::carrier::{Carrier, ErrorOf};
use crate::map::{Compare, Conflict, EntryOf};

/// The bindings of a context merged with the changes of another one, before they become current.
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
/// let Ok(()) = rebased.install(&interpreter, &mut ByEq, |_| unreachable!("nothing was set since"));
/// assert_eq!(interpreter.get(&Global(1)), Some("changed by them"));
/// assert_eq!(interpreter.get(&Global(2)), Some("two"));
/// ```
pub struct Rebased<H: BindingsHeap> {
    /// What was current when the merge began.
    ours: Bindings<H>,
    merged: Bindings<H>,
}

impl<H: BindingsHeap> Rebased<H> {
    /// Merges the changes that lead from `base` to `theirs` with the current bindings, which stay
    /// as they are. O(changes x log n).
    ///
    /// What both have changed in different ways is put to `resolve`, which returns the value to
    /// keep, or `None` to leave the variable without one.
    ///
    /// # Errors
    ///
    /// The first one of the carrier, of a comparison or of `resolve`.
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

    /// Makes the merged bindings current, with what was set while they were merged. O(1) if that
    /// was nothing.
    ///
    /// `compare` and `is_lost` are called in the middle of an update: they must not call user code
    /// that sets variables, unless they return an error.
    ///
    /// # Errors
    ///
    /// That of the carrier, or what `is_lost` makes of a variable that was set meanwhile and
    /// changed by the merge as well; the current bindings are as before then.
    ///
    /// See [`Rebased`] for an example.
    pub fn install<C: Carrier<Heap = H>>(
        self,
        carrier: &C,
        compare: &mut impl Compare<H>,
        mut is_lost: impl FnMut(&EntryOf<H>) -> H::Error,
    ) -> Result<(), ErrorOf<C>> {
        if self.merged.version() == self.ours.version() {
            return Ok(()); // They have changed nothing, so whatever is current stays.
        }
        // The bindings that are replaced are kept here: dropping values may run user code.
        let mut replaced = None;
        carrier.update(|now| {
            let merged = self.ours.merge(now, &self.merged, compare, |entries| {
                entries.into_iter().flatten().next().map_or(Ok(None), |entry| Err(is_lost(entry)))
            })?;
            replaced = Some(std::mem::replace(now, merged));
            Ok(())
        })?;
        Ok(())
    }
}
