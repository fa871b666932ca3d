//! Bindings that follow others where nobody has set their own variables.

use super::bindings::{Bindings, BindingsHeap, Variable};
use crate::map::{Change, Compare, Heap};

/// Makes the variables of `bindings` that nobody has set there follow `leader`.
///
/// `inherited` is what `bindings` began as a copy of, and what this function has made of it since. A
/// variable has been set if its value is not the one that was inherited; it follows again when it
/// has been reset to that. This is how PEP 568 has a generator see its caller's variables.
///
/// `is_same` tells whether two values are one and the same. O(changes x log n), if all are versions
/// of one another; the variables that have been set count as changes while the leader changes them.
///
/// # Errors
///
/// The heap's, if there is no memory; `inherited` is as before then.
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
/// let Ok(_) = own.remove(&Global(2)); // as it was before it was set
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
        let (variable, old, new) = match change {
            Change::Added { key, value } => (key, None, Some(value)),
            Change::Removed { key, value } => (key, Some(value), None),
            Change::Changed { key, old, new } => (key, Some(old), Some(new)),
        };
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
    H: Heap<Key: Variable>,
    F: Fn(&H::Value, &H::Value) -> bool,
{
    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error> {
        Ok(a.is(b))
    }

    fn equal(&mut self, a: &H::Value, b: &H::Value) -> Result<bool, H::Error> {
        Ok((self.0)(a, b))
    }
}
