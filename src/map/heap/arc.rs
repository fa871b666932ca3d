//! The heap of Rust programs: atomically counted nodes from the global allocator.

#![allow(unsafe_code)] // Implements `Heap`: counts references and frees memory by hand.

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
/// `T` is the tag that each root carries (nothing, by default), `E` the error of fallible key
/// comparisons (none, by default), `S` the shape of the nodes; allocation does not fail, it aborts
/// as `Box::new` does.
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

/// The reference count that lies in front of each node.
type Count = AtomicUsize;

/// The layout of a node with its count in front, and the offset of the node in it.
#[inline]
fn with_count(node: Layout) -> (Layout, usize) {
    Layout::new::<Count>().extend(node).expect("a node is smaller than isize::MAX")
}

/// Ends the process: a panic that passes it becomes a panic in a panic.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        panic!("there is no way back from here");
    }
}

/// Only a program that forgets references without end gets here; `Arc` ends it the same way.
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

/// Drops what may be a map that holds a map that holds a map …: with the feature `deep-drop`, on a
/// new piece of stack if this one comes to its end.
#[inline]
fn with_enough_stack(may_nest: bool, drop_contents: impl FnOnce()) {
    #[cfg(feature = "deep-drop")]
    if may_nest {
        /// Enough for the frames of one level, with those of the values' own destructors.
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
    // SAFETY: `allocate` has put the count there.
    unsafe { node.byte_sub(offset).cast().as_ref() }
}

/// The memory of a node whose last reference is gone: freed also when a destructor panics.
struct Memory<H: Heap> {
    layout: NodeLayout,
    node: NonNull<Node<H>>,
}

impl<H: Heap> Drop for Memory<H> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: nobody reaches the node any more.
        unsafe { H::dealloc(self.node, self.layout) };
    }
}

// SAFETY: `allocate` gives fresh memory with a count of one in front of the node, which is handled
// as `Arc` handles it.
unsafe impl<K, V, T, E, S> Heap for ArcHeap<K, V, T, E, S>
where
    K: Clone,
    V: Clone,
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
        // SAFETY: the layout is not empty.
        let Some(block) = NonNull::new(unsafe { alloc(whole) }) else { out_of_memory(whole) };
        // SAFETY: the block is ours, aligned and large enough for the count and the node.
        unsafe {
            block.cast().write(Count::new(1));
            Ok(block.add(offset).cast())
        }
    }

    #[inline]
    unsafe fn retain(node: NonNull<Node<Self>>) {
        // SAFETY: the caller's reference keeps the count alive.
        let before = unsafe { count(node) }.fetch_add(1, Ordering::Relaxed);
        if before > isize::MAX as usize {
            too_many_references();
        }
    }

    #[inline]
    unsafe fn release(node: NonNull<Node<Self>>) {
        // SAFETY: the caller's reference keeps the count alive until it is counted down.
        let before = unsafe { count(node) }.fetch_sub(1, Ordering::Release);
        if before == 1 {
            // Everything that other threads did with the node happened before it is dropped.
            fence(Ordering::Acquire);
            // SAFETY: this was the last reference.
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
        // SAFETY: the block was allocated with this layout, and the caller owns it.
        unsafe { dealloc(node.as_ptr().cast::<u8>().sub(offset), whole) };
    }

    #[inline]
    unsafe fn is_unique(node: NonNull<Node<Self>>) -> bool {
        // Acquire: what the owner of a reference given back did with the node is seen here.
        // SAFETY: the caller's reference keeps the count alive.
        unsafe { count(node) }.load(Ordering::Acquire) == 1
    }
}

// SAFETY: a reference to a node gives shared access to its entries, and the last one drops them,
// on any thread: as for `Arc`, both need both. Counts are atomic.
unsafe impl<K, V, T, E, S> Send for NodeRef<ArcHeap<K, V, T, E, S>>
where
    K: Clone + Send + Sync,
    V: Clone + Send + Sync,
    T: Default + Send + Sync,
    S: Shape,
{
}

// SAFETY: as for `Send`.
unsafe impl<K, V, T, E, S> Sync for NodeRef<ArcHeap<K, V, T, E, S>>
where
    K: Clone + Send + Sync,
    V: Clone + Send + Sync,
    T: Default + Send + Sync,
    S: Shape,
{
}
