//! The heap of Rust programs: atomically counted nodes from the global allocator.

#![allow(unsafe_code)] // Implements `Heap`: counts references and frees memory.

use super::Heap;
use crate::map::node::reference::NodeRef;
use crate::map::node::{Node, NodeLayout};
use crate::map::tuning::{Shape, ShapeFor};
use alloc::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use core::convert::Infallible;
use core::marker::PhantomData;
use core::mem::needs_drop;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

/// A [`Heap`] whose nodes are shared between threads, as with [`Arc`](std::sync::Arc).
///
/// `T` is the tag in each root (`()` by default), `E` the error of fallible comparisons of keys
/// (`Infallible` by default), and `S` the shape of the nodes. A failed allocation aborts, as in
/// `Box::new`.
///
/// ```
/// use ctxvars::map::{ArcHeap, Hash, Trie};
/// use std::thread;
///
/// let mut map: Trie<ArcHeap<u32, String>> = Trie::new();
/// let Ok(_) = map.insert(Hash::mix(1), 1, "one".to_owned(), |new, stored| Ok(new == stored));
/// let copy = map.clone();
/// let elsewhere = thread::spawn(move || copy.len());
/// assert_eq!(elsewhere.join().ok(), Some(map.len()));
/// ```
///
/// With a tag: [`Trie::tag_mut`](crate::map::Trie::tag_mut); with an error: [`Heap`]; with a shape:
/// [`Shape`].
pub struct ArcHeap<K, V, T = (), E = Infallible, S = ShapeFor<K, V>> {
    _types: PhantomData<(K, V, T, E, S)>,
}

/// The reference count in front of each node.
type Count = AtomicUsize;

/// The layout of a count followed by a node, and the offset of the node in it.
#[inline]
fn with_count(node: Layout) -> (Layout, usize) {
    Layout::new::<Count>().extend(node).expect("a node is smaller than isize::MAX")
}

/// Aborts the process when a panic unwinds through it, since dropping it panics a second time.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        panic!("unwinding is not possible here");
    }
}

/// Only a program that leaks references without end reaches this; `Arc` aborts it as well.
#[cold]
fn too_many_references() -> ! {
    let _end = AbortOnUnwind;
    panic!("a node has too many references")
}

#[cold]
fn out_of_memory(layout: Layout) -> ! {
    let _end = AbortOnUnwind;
    handle_alloc_error(layout)
}

/// Drops contents that may be maps that hold maps, and so on. With the feature `deep-drop`, the
/// drop continues on a new stack segment when the current one is nearly full.
#[inline]
fn with_enough_stack(may_nest: bool, drop_contents: impl FnOnce()) {
    #[cfg(feature = "deep-drop")]
    if may_nest {
        /// Enough for the stack frames of one level, destructors of values included.
        const RED_ZONE: usize = 64 * 1024;
        const STACK_SEGMENT: usize = 2 * 1024 * 1024;
        return stacker::maybe_grow(RED_ZONE, STACK_SEGMENT, drop_contents);
    }
    let _ = may_nest;
    drop_contents();
}

/// # Safety
///
/// `node` came from `allocate` and is alive during `'a`.
#[inline]
unsafe fn count<'a, H: Heap>(node: NonNull<Node<H>>) -> &'a Count {
    // All nodes of a heap have the same alignment, so the offset is the same for all.
    let offset = size_of::<Count>().next_multiple_of(Node::<H>::ALIGN);
    // SAFETY: `allocate` wrote a count at this distance in front of each node, in the same
    // allocation.
    unsafe { node.byte_sub(offset).cast().as_ref() }
}

/// Frees the memory of a node, also if a destructor of its contents panics.
struct Memory<H: Heap> {
    layout: NodeLayout,
    node: NonNull<Node<H>>,
}

impl<H: Heap> Drop for Memory<H> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `release` creates this value after the last reference is gone, and the layout is
        // the one that the node itself reports.
        unsafe { H::dealloc(self.node, self.layout) };
    }
}

// SAFETY: `allocate` returns fresh memory with a count of one in front of the node. The count is
// incremented and decremented with the memory orderings of `Arc`, so exactly one `release` sees the
// count fall to zero, and `is_unique` sees a count of one only if no other reference exists.
unsafe impl<K, V, T, E, S> Heap for ArcHeap<K, V, T, E, S>
where
    T: Default,
    S: Shape,
{
    type Key = K;
    type Value = V;
    type Tag = T;
    type DigestCache = ();
    type LowWord = ();
    type Error = E;
    type Shape = S;

    const ALLOCATION_IS_INFALLIBLE: bool = true;

    #[inline]
    fn allocate(layout: NodeLayout) -> Result<NonNull<Node<Self>>, E> {
        let (whole, offset) = with_count(layout.memory);
        // SAFETY: the layout contains a count, so its size is not zero.
        let Some(block) = NonNull::new(unsafe { alloc(whole) }) else { out_of_memory(whole) };
        // SAFETY: the block was just allocated for a count and, at `offset`, a node.
        unsafe {
            block.cast().write(Count::new(1));
            Ok(block.add(offset).cast())
        }
    }

    #[inline]
    unsafe fn retain(node: NonNull<Node<Self>>) {
        // SAFETY: the caller has a reference, so the node and its count are alive.
        let before = unsafe { count(node) }.fetch_add(1, Ordering::Relaxed);
        if before > isize::MAX as usize {
            too_many_references();
        }
    }

    #[inline]
    unsafe fn release(node: NonNull<Node<Self>>) {
        // SAFETY: the caller's reference keeps the count alive until this decrement.
        let before = unsafe { count(node) }.fetch_sub(1, Ordering::Release);
        if before == 1 {
            // Every use of the node on other threads happens before the drop.
            fence(Ordering::Acquire);
            // SAFETY: the count was one, so this was the last reference: no other code can reach
            // the node, whose contents are still initialised.
            unsafe {
                let _memory = Memory { layout: node.as_ref().layout(), node };
                let may_nest = needs_drop::<(K, V)>();
                with_enough_stack(may_nest, || Node::drop_contents(node));
            }
        }
    }

    #[inline]
    unsafe fn dealloc(node: NonNull<Node<Self>>, layout: NodeLayout) {
        let (whole, offset) = with_count(layout.memory);
        // SAFETY: `allocate` allocated the block with the same computation from `layout`, and the
        // caller owns the only reference.
        unsafe { dealloc(node.as_ptr().cast::<u8>().sub(offset), whole) };
    }

    #[inline]
    unsafe fn is_unique(node: NonNull<Node<Self>>) -> bool {
        // Acquire: uses of the node by owners that have released it happen before this.
        // SAFETY: the caller has a reference, so the node and its count are alive.
        unsafe { count(node) }.load(Ordering::Acquire) == 1
    }
}

// SAFETY: a reference gives shared access to the entries of a node, and the last reference drops
// them, on any thread. So keys, values and tags must be `Send` and `Sync`, as for `Arc`. Counts are
// atomic.
unsafe impl<K, V, T, E, S> Send for NodeRef<ArcHeap<K, V, T, E, S>>
where
    K: Send + Sync,
    V: Send + Sync,
    T: Default + Send + Sync,
    S: Shape,
{
}

// SAFETY: a shared reference to a `NodeRef` can be cloned to another thread, so the conditions are
// those of `Send`.
unsafe impl<K, V, T, E, S> Sync for NodeRef<ArcHeap<K, V, T, E, S>>
where
    K: Send + Sync,
    V: Send + Sync,
    T: Default + Send + Sync,
    S: Shape,
{
}
