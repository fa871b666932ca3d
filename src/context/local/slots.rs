//! The slots of variables: which variables are alive, and their descriptions.
//!
//! The table grows, and its slots are reused, so its size follows the largest number of variables
//! alive at once. All threads share it, without locks.
//!
//! The *generation* of a slot counts its states, and never decreases:
//!
//! | generation | state |
//! | --- | --- |
//! | 4k | free |
//! | 4k + 1 | a thread is writing the description of the next variable |
//! | 4k + 2 | occupied by a variable |
//! | 4k + 3 | free, and never occupied again: the last generation |
//!
//! Only one thread can move a slot from *free* to the next state, by a compare-and-exchange. So no two
//! variables get the same slot with the same generation, even if the list of free slots names a slot
//! twice.

#![allow(unsafe_code)] // Restores a name and a function from the words in which a slot stores them.

use super::value::LocalValue;
use std::fmt;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::{mem, slice, str};

/// Writes the `Debug` output of a value.
///
/// # Safety
///
/// The value belongs to the variable with this function.
pub(super) type Show = unsafe fn(&LocalValue, &mut fmt::Formatter<'_>) -> fmt::Result;

/// The debug output of a variable.
#[derive(Clone, Copy)]
pub(super) struct Description {
    pub(super) name: &'static str,
    pub(super) show: Option<Show>,
}

struct Slot {
    generation: AtomicU32,
    /// The next slot in the list of free slots, or 0.
    next_free: AtomicU32,
    name: AtomicPtr<u8>,
    name_len: AtomicUsize,
    /// A [`Show`], or null.
    show: AtomicPtr<()>,
}

/// The table. Segment `n` has the slots from 2^n to 2^(n+1) - 1. The first slot is 1.
static SEGMENTS: [OnceLock<Box<[Slot]>>; 32] = [const { OnceLock::new() }; 32];

/// The first slot that has never been used.
static UNUSED: AtomicU32 = AtomicU32::new(1);

/// The list of free slots. The low half is its first slot, or 0. The high half counts the changes of
/// the list, so that a compare-and-exchange fails if the list has changed and changed back.
static FREE: AtomicU64 = AtomicU64::new(0);

const FREE_STATE: u32 = 0;
const STATES: u32 = 4;
/// The last generation in which a slot is occupied.
const LAST: u32 = u32::MAX - 1;

fn slot(number: u32) -> &'static Slot {
    let new = || Slot {
        generation: AtomicU32::new(FREE_STATE),
        next_free: AtomicU32::new(0),
        name: AtomicPtr::new(null_mut()),
        name_len: AtomicUsize::new(0),
        show: AtomicPtr::new(null_mut()),
    };
    let segment = number.ilog2();
    let slots =
        SEGMENTS[segment as usize].get_or_init(|| (0..1 << segment).map(|_| new()).collect());
    &slots[(number - (1 << segment)) as usize]
}

/// Occupies a free slot. Returns its number and its generation. O(1), amortized.
pub(super) fn occupy(description: Description) -> (u32, u32) {
    loop {
        let number = pop_free().unwrap_or_else(unused);
        let slot = slot(number);
        let free = slot.generation.load(Ordering::Relaxed);
        let claimed = free % STATES == FREE_STATE && {
            let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
            slot.generation.compare_exchange(free, free + 1, success, failure).is_ok()
        };
        if claimed {
            // A thread that reads one of the following words sees the claim, too, after its fence.
            fence(Ordering::Release);
            let Description { name, show } = description;
            slot.name.store(name.as_ptr().cast_mut(), Ordering::Relaxed);
            slot.name_len.store(name.len(), Ordering::Relaxed);
            let show = show.map_or(null_mut(), |show| show as *mut ());
            slot.show.store(show, Ordering::Relaxed);
            slot.generation.store(free + 2, Ordering::Release);
            return (number, free + 2);
        }
    }
}

/// A slot that has never been used.
fn unused() -> u32 {
    let next = |number: u32| number.checked_add(1);
    UNUSED
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
        .expect("fewer than 2^32 variables are alive at once")
}

/// Frees the slot of a variable that is being dropped. O(1).
pub(super) fn vacate(number: u32, generation: u32) {
    let slot = slot(number);
    if generation == LAST {
        slot.generation.store(generation + 1, Ordering::Release);
    } else {
        slot.generation.store(generation + 2, Ordering::Release);
        push_free(number, slot);
    }
}

/// Whether a variable may have been dropped, in the whole process. O(1).
#[inline]
pub(super) fn any_vacated() -> bool {
    FREE.load(Ordering::Relaxed) != 0
}

/// Whether the variable with this generation has left the slot. O(1).
///
/// A thread may see an earlier generation than that of a variable of another thread, but not a later
/// one. So a variable that is alive is never taken for a dropped one.
pub(super) fn is_vacated(number: u32, generation: u32) -> bool {
    slot(number).generation.load(Ordering::Relaxed) > generation
}

/// The description of the variable with this generation, if the slot still has it. O(1).
pub(super) fn description(number: u32, generation: u32) -> Option<Description> {
    let slot = slot(number);
    if slot.generation.load(Ordering::Acquire) != generation {
        return None;
    }
    let name = slot.name.load(Ordering::Relaxed);
    let name_len = slot.name_len.load(Ordering::Relaxed);
    let show = slot.show.load(Ordering::Relaxed);
    // If one of these words was written for a later variable, its thread has claimed the slot before,
    // and the fences make the claim visible here.
    fence(Ordering::Acquire);
    if slot.generation.load(Ordering::Relaxed) != generation {
        return None;
    }
    // SAFETY: the generation was the same before and after the words were read. So `occupy` has
    // written all of them for this generation: pointer and length of a `&'static str`.
    let name = unsafe { str::from_utf8_unchecked(slice::from_raw_parts(name, name_len)) };
    // SAFETY: for the same reason, the word is null or was made from a `Show`. A null pointer is the
    // `None` of an optional function pointer.
    let show = unsafe { mem::transmute::<*mut (), Option<Show>>(show) };
    Some(Description { name, show })
}

/// Changes the first free slot. `change` returns the new one for the old one, or `None` to give up.
/// Returns the old one.
fn change_free(mut change: impl FnMut(u32) -> Option<u32>) -> Option<u32> {
    let changed = FREE.fetch_update(Ordering::AcqRel, Ordering::Acquire, |list| {
        let changes = ((list >> 32) as u32).wrapping_add(1).max(1);
        Some(u64::from(changes) << 32 | u64::from(change(list as u32)?))
    });
    changed.ok().map(|list| list as u32)
}

fn push_free(number: u32, slot: &Slot) {
    change_free(|first| {
        slot.next_free.store(first, Ordering::Relaxed);
        Some(number)
    });
}

fn pop_free() -> Option<u32> {
    change_free(|first| (first != 0).then(|| slot(first).next_free.load(Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn named(name: &'static str) -> Description {
        Description { name, show: None }
    }

    #[test]
    fn a_slot_is_reused_with_a_later_generation() {
        let (first, generation) = occupy(named("first"));
        assert_eq!(description(first, generation).map(|it| it.name), Some("first"));
        assert!(!is_vacated(first, generation));
        vacate(first, generation);
        assert!(any_vacated() && is_vacated(first, generation));
        assert!(description(first, generation).is_none());
        // Other tests may take the slot first.
        let taken: Vec<_> = (0..8).map(|_| occupy(named("other"))).collect();
        assert!(taken.iter().all(|&pair| pair != (first, generation)));
        taken.iter().for_each(|&(slot, generation)| vacate(slot, generation));
    }

    #[test]
    fn the_last_generation_of_a_slot_is_not_reused() {
        let (number, generation) = occupy(named("early"));
        slot(number).generation.store(LAST, Ordering::Relaxed);
        assert!(is_vacated(number, generation) && !is_vacated(number, LAST));
        vacate(number, LAST);
        assert!(is_vacated(number, LAST));
        let taken: Vec<_> = (0..100).map(|_| occupy(named("other"))).collect();
        assert!(taken.iter().all(|&(slot, _)| slot != number));
        taken.iter().for_each(|&(slot, generation)| vacate(slot, generation));
    }
}
