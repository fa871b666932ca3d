//! Heaps whose operations may fail, and a heap that checks every operation on its nodes.

#![allow(unsafe_code)] // A heap hands out raw memory.

use super::shapes::id;
use ctxvars::map::{ArcHeap, DigestCache, Heap, LowWord, Node, NodeLayout, Probe, Shape};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::rc::Rc;

/// The error of user code.
#[derive(Debug, PartialEq)]
pub(crate) struct Raised;

/// A heap for tests.
pub(crate) trait TestHeap<K = u32>: Heap<Key = K, Value = Rc<u32>, Error = Raised> {}

impl<K, H: Heap<Key = K, Value = Rc<u32>, Error = Raised>> TestHeap<K> for H {}

/// A key for tests: a number, or a pointer to one. Cloning it copies its bits.
pub(crate) trait TestKey: Clone + From<u32> {
    fn number(&self) -> u32;
}

impl TestKey for u32 {
    fn number(&self) -> u32 {
        *self
    }
}

impl TestKey for Rc<u32> {
    fn number(&self) -> u32 {
        **self
    }
}

/// The heap of Rust programs, with comparisons that may fail.
pub(crate) type Fallible<S> = ArcHeap<u32, Rc<u32>, u64, Raised, S>;

/// A probe like that of the Python map: it uses the rehash of the key, if there is one.
pub(crate) struct Sought(pub(crate) u32);

impl<H: Heap<Key: TestKey, Error = Raised>> Probe<H> for Sought {
    fn matches(&mut self, stored: &H::Key, has_hash: impl Fn() -> bool) -> Result<bool, Raised> {
        user_code()?;
        Ok(has_hash() && id(stored.number()) == id(self.0))
    }

    fn rehash(&self) -> Option<u64> {
        H::rehash(&self.0.into())
    }
}

thread_local! {
    static CALLS_LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    static NODES: RefCell<BTreeMap<usize, State>> = const { RefCell::new(BTreeMap::new()) };
    static IS_EDITING: Cell<bool> = const { Cell::new(false) };
}

/// Makes user code, or the allocator of a [`Checked`] heap, fail after this many calls.
pub(crate) fn raise_after(calls: usize) {
    CALLS_LEFT.set(calls);
}

/// Stops failures.
pub(crate) fn raise_never() {
    CALLS_LEFT.set(usize::MAX);
}

/// Fails if it is time to. Every function that may fail calls it first.
pub(crate) fn user_code() -> Result<(), Raised> {
    match CALLS_LEFT.get() {
        usize::MAX => Ok(()),
        0 => Err(Raised),
        left => {
            CALLS_LEFT.set(left - 1);
            Ok(())
        }
    }
}

/// A heap that records its nodes and uses all features of heaps: failing allocations, rehashes (of even
/// keys; some are equal), identical values, cached digests and tracing.
pub(crate) struct Checked<S, L = (), K = u32>(PhantomData<(S, L, K)>);

/// A heap that stores whole hashes.
pub(crate) type Whole<S> = Checked<S, u32>;

/// A heap that stores whole hashes and whose keys are pointers, as the heap of Python.
pub(crate) type Pointers<S> = Checked<S, u32, Rc<u32>>;

/// The record of a live node.
struct State {
    references: usize,
    is_traced: bool,
    memory: Layout,
    /// Whether the node existed before the current edit.
    is_old: bool,
}

/// Runs an edit, which must not free nodes that existed before, because user code could run then.
#[allow(dead_code)] // Some of the tests that share this file have no use for it.
pub(crate) fn while_no_node_is_freed<T>(edit: impl FnOnce() -> T) -> T {
    NODES.with_borrow_mut(|nodes| nodes.values_mut().for_each(|state| state.is_old = true));
    IS_EDITING.set(true);
    let result = edit();
    IS_EDITING.set(false);
    result
}

/// The number of live nodes of [`Checked`] heaps in this thread.
pub(crate) fn live_nodes() -> usize {
    NODES.with_borrow(BTreeMap::len)
}

fn with_state<H: Heap, T>(node: NonNull<Node<H>>, visit: impl FnOnce(&mut State) -> T) -> T {
    NODES.with_borrow_mut(|nodes| {
        visit(nodes.get_mut(&node.addr().get()).expect("the node has not been freed"))
    })
}

/// A cached digest.
#[derive(Default)]
pub(crate) struct Remembered(Cell<Option<u64>>);

impl DigestCache for Remembered {
    fn get(&self) -> Option<u64> {
        self.0.get()
    }

    fn set(&self, sum: u64) {
        self.0.set(Some(sum));
    }
}

// SAFETY: each node is a separate allocation with a count of one, which is freed when the count falls
// to zero. `Rc` keeps maps on one thread, where the record of counts is. Cloning a number or an `Rc`
// copies its bits, which are all initialised, and does not panic.
unsafe impl<S: Shape, L: LowWord, K: TestKey> Heap for Checked<S, L, K> {
    type Key = K;
    type Value = Rc<u32>;
    type Tag = u128;
    type DigestCache = Remembered;
    type LowWord = L;
    type Error = Raised;
    type Shape = S;

    // Cloning a number or an `Rc` copies its bits.
    const CLONE_IS_BITWISE: bool = true;

    fn allocate(layout: NodeLayout) -> Result<NonNull<Node<Self>>, Raised> {
        user_code()?;
        let memory = layout.memory;
        // SAFETY: a node has a header, so its layout is not empty.
        let Some(block) = NonNull::new(unsafe { alloc(memory) }) else {
            handle_alloc_error(memory)
        };
        let state = State { references: 1, is_traced: false, memory, is_old: false };
        let before = NODES.with_borrow_mut(|nodes| nodes.insert(block.addr().get(), state));
        assert!(before.is_none(), "a node was freed without a word");
        Ok(block.cast())
    }

    unsafe fn trace(node: NonNull<Node<Self>>) {
        // SAFETY: the caller passes an initialised node.
        assert!(unsafe { node.as_ref() }.is_traced(), "a node knows that it is traced");
        let before = with_state(node, |state| std::mem::replace(&mut state.is_traced, true));
        assert!(!before, "a node is traced once");
    }

    fn is_key_traceable(key: &K) -> bool {
        id(key.number()) % 8 == 3
    }

    fn is_value_traceable(value: &Rc<u32>) -> bool {
        **value % 8 == 5
    }

    fn is_identical(old: &Rc<u32>, new: &Rc<u32>) -> bool {
        Rc::ptr_eq(old, new)
    }

    fn rehash(key: &K) -> Option<u64> {
        let id = id(key.number());
        let shared = u64::from(id / 4);
        // A few bits at the top, in the middle and at the bottom, so that tries are deep.
        let rehash = shared & 3 | (shared >> 2 & 3) << 32 | (shared >> 4) << 60;
        (id % 2 == 0).then_some(rehash)
    }

    unsafe fn retain(node: NonNull<Node<Self>>) {
        with_state(node, |state| state.references += 1);
    }

    unsafe fn release(node: NonNull<Node<Self>>) {
        let left = with_state(node, |state| {
            state.references -= 1;
            let is_freed = state.references == 0 && state.is_old;
            assert!(!(is_freed && IS_EDITING.get()), "an edit frees no node");
            state.references
        });
        if left == 0 {
            // SAFETY: the count is zero, so this was the last reference to the node, which is initialised.
            unsafe {
                let layout = node.as_ref().layout();
                Node::drop_contents(node);
                Self::dealloc(node, layout);
            }
        }
    }

    unsafe fn dealloc(node: NonNull<Node<Self>>, layout: NodeLayout) {
        let state = NODES.with_borrow_mut(|nodes| nodes.remove(&node.addr().get()));
        let memory = state.expect("a node is freed once").memory;
        assert_eq!(memory, layout.memory, "a node is freed with the layout it was made with");
        // SAFETY: the node was allocated with this layout, and the record shows that it has not been
        // freed.
        unsafe { dealloc(node.as_ptr().cast(), memory) };
    }

    /// A root with a tag is not unique even if it has one reference, as the root of a Python map
    /// with weak references.
    unsafe fn is_unique(node: NonNull<Node<Self>>) -> bool {
        // SAFETY: the caller has a reference to the node, and a root has an initialised tag.
        let has_tag = unsafe {
            node.as_ref().is_root()
                && *node.byte_add(Node::<Self>::TAG).cast::<u128>().as_ref() != 0
        };
        !has_tag && with_state(node, |state| state.references == 1)
    }
}
