//! Bindings whose unset variables follow other bindings.

use super::bindings::{Bindings, BindingsHeap};
use crate::map::{Change, Compare};

/// Updates the variables of `bindings` that have not been set there to their values in `leader`.
///
/// `bindings` started as a copy of `inherited`, and each call updates `inherited`. A variable counts
/// as set if its value differs from the inherited one. After a reset to the inherited value, it
/// follows again. In PEP 568, generators see the variables of their callers in this way.
///
/// `is_same` compares two values by identity. O(changes x log n), if all bindings are versions of one
/// another. A set variable counts as a change whenever the leader has changed it.
///
/// # Errors
///
/// An allocation failed; `inherited` is unchanged.
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// use ctxvars::context::follow;
///
/// let is_same = |a: &&str, b: &&str| a == b;
/// let mut leader: Bindings<Globals> = Bindings::new();
/// let Ok(_) = leader.set(Global(1), "one");
/// let (mut inherited, mut own) = (leader.clone(), leader.clone());
/// let Ok(_) = own.set(Global(2), "own");
///
/// let Ok(_) = leader.set(Global(1), "eins");
/// let Ok(_) = leader.set(Global(2), "zwei");
/// let Ok(()) = follow(&mut own, &mut inherited, &leader, is_same);
/// assert_eq!(own.get(&Global(1)), Ok(Some(&"eins")));
/// assert_eq!(own.get(&Global(2)), Ok(Some(&"own")));
///
/// let Ok(_) = own.remove(&Global(2)); // back to the inherited state: unset
/// let Ok(()) = follow(&mut own, &mut inherited, &leader, is_same);
/// assert_eq!(own.get(&Global(2)), Ok(Some(&"zwei")));
/// ```
pub fn follow<H: BindingsHeap>(
    bindings: &mut Bindings<H>,
    inherited: &mut Bindings<H>,
    leader: &Bindings<H>,
    is_same: impl Fn(&H::Value, &H::Value) -> bool,
) -> Result<(), H::Error> {
    let mut now_inherited = leader.clone();
    let mut compare = ByIdentity(&is_same);
    for (_, change) in inherited.trie().changes(leader.trie(), &mut compare)? {
        let (key, old, new) = match change {
            Change::Added { key, value } => (key, None, Some(value)),
            Change::Removed { key, value } => (key, Some(value), None),
            Change::Changed { key, old, new } => (key, Some(old), Some(new)),
        };
        let variable = H::variable(key)?;
        let is_inherited = match (bindings.get(variable)?, old) {
            (Some(own), Some(old)) => is_same(own, old),
            (own, old) => own.is_none() && old.is_none(),
        };
        let (changed, value) =
            if is_inherited { (&mut *bindings, new) } else { (&mut now_inherited, old) };
        match value {
            Some(value) => drop(changed.set(variable.clone(), value.clone())?),
            None => drop(changed.remove(variable)?),
        }
    }
    *inherited = now_inherited;
    Ok(())
}

/// Compares variables and values by identity, which runs no user code.
struct ByIdentity<'a, F>(&'a F);

impl<H, F> Compare<H> for ByIdentity<'_, F>
where
    H: BindingsHeap,
    F: Fn(&H::Value, &H::Value) -> bool,
{
    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error> {
        Ok(H::is_same_key(a, b))
    }

    fn equal(&mut self, a: &H::Value, b: &H::Value) -> Result<bool, H::Error> {
        Ok((self.0)(a, b))
    }
}
