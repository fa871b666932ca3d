//! Removes the values of dropped variables from contexts.
//!
//! A variable that is dropped removes its value from the current context. Other contexts, on any
//! thread, may have a value, too. They are *pruned* before a variable is added to them: bindings that do
//! not grow need no pruning.
//!
//! A walk over `n` bindings is O(n). So only one of about n / 4 additions starts one, which takes O(1)
//! amortized. Which one depends on the version of the bindings. So nothing is stored with a context,
//! and a large context is pruned in time whatever happens in small ones.

use super::carrier::LocalHeap;
use super::id::VariableId;
use super::slots;
use super::value::LocalValue;
use crate::context::bindings::Bindings;

/// Smaller bindings are never pruned.
const SMALLEST: usize = 16;

/// The number of entries that are looked at for each addition, on average.
const PACE: u64 = 4;

/// Whether a variable may have been dropped, in the whole process. O(1).
#[inline]
pub(super) fn may_be_needed() -> bool {
    slots::any_vacated()
}

/// Whether to call [`prune`] on bindings, before `variable` is set in them. O(1), amortized.
pub(super) fn is_due(bindings: &Bindings<LocalHeap>, variable: VariableId) -> bool {
    // Multiples of the golden ratio are spread evenly, so the gaps between two turns are similar.
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let place = bindings.version().number().wrapping_mul(MULTIPLIER);
    bindings.len() >= SMALLEST
        && place / PACE < u64::MAX / bindings.len() as u64
        && matches!(bindings.get(&variable), Ok(None))
}

/// Removes the values of dropped variables, and returns them: their destructors may run user code.
/// O(n + m log n) for `n` entries, `m` of them removed.
pub(super) fn prune(bindings: &mut Bindings<LocalHeap>) -> Vec<LocalValue> {
    let entries = bindings.iter().map(|(_, entry)| entry.key);
    let dropped: Vec<VariableId> = entries.filter(|variable| variable.is_dropped()).collect();
    let removed = dropped.iter().map(|variable| match bindings.remove(variable) {
        Ok(entry) => entry.map(|entry| entry.value),
        Err(never) => match never {},
    });
    removed.flatten().collect()
}
