//! Vectors that grow without aborting when memory runs out.
//!
//! `Vec::push` aborts the process if the allocation fails. A heap that reports failed allocations of
//! nodes must report failed allocations of vectors too, if their length depends on user data.

use super::heap::Heap;
use alloc::vec::Vec;
use core::alloc::Layout;

/// An empty vector with room for `count` items.
pub(crate) fn with_capacity<H: Heap, T>(count: usize) -> Result<Vec<T>, H::Error> {
    let mut items = Vec::new();
    items.try_reserve_exact(count).map_err(|_| out_of_memory::<H, T>(count))?;
    Ok(items)
}

/// A vector of `count` clones of `item`.
pub(crate) fn filled<H: Heap, T: Clone>(item: T, count: usize) -> Result<Vec<T>, H::Error> {
    let mut items = with_capacity::<H, T>(count)?;
    items.resize(count, item);
    Ok(items)
}

/// A vector of all items of an iterator with a known length.
pub(crate) fn collected<H: Heap, T>(
    items: impl ExactSizeIterator<Item = T>,
) -> Result<Vec<T>, H::Error> {
    let mut collected = with_capacity::<H, T>(items.len())?;
    collected.extend(items);
    Ok(collected)
}

/// Makes room for `more` items. Amortised O(1) for each item.
#[inline]
pub(crate) fn reserve<H: Heap, T>(items: &mut Vec<T>, more: usize) -> Result<(), H::Error> {
    if items.capacity() - items.len() >= more {
        return Ok(());
    }
    items.try_reserve(more).map_err(|_| out_of_memory::<H, T>(items.len().saturating_add(more)))
}

/// Appends an item.
#[inline]
pub(crate) fn push<H: Heap, T>(items: &mut Vec<T>, item: T) -> Result<(), H::Error> {
    reserve::<H, T>(items, 1)?;
    items.push(item);
    Ok(())
}

#[cold]
fn out_of_memory<H: Heap, T>(count: usize) -> H::Error {
    H::out_of_memory(Layout::array::<T>(count).unwrap_or(Layout::new::<T>()))
}
