//! Nodes of the map as Python objects, so that the cyclic collector counts right.
//!
//! Several maps share a node. Were the node visited from each map that reaches it, the collector
//! would count each reference that the node holds once for every map, and clear objects that are
//! alive. So the node is an object of its own: the maps refer to it, and it alone visits what it
//! holds.
//!
//! A root is a `Map` itself: a map is one object with its root, and a small one is one object in
//! all. The other nodes are of a class that Python code does not name.
//!
//! ```text
//!   object:   reference count, class | node: header | tag of a root | hashes, entries or children
//! ```
//!
//! A node is tracked only if it holds something that the collector can reach (the rule of `dict`
//! and `tuple`): a map of a million `str` to `int` costs a collection nothing.
//!
//! Nodes have no `tp_clear`, like tuples: they are immutable, so every cycle through them also
//! passes through something that came to be before and was changed later, and that can be cleared.

#![allow(unsafe_code)] // Implements `Heap` on the allocator of CPython.

mod second_hash;

use crate::context::{Version, Versioned};
use crate::map::{
    Contents, DigestCache, HashOf, Heap, Node, NodeLayout, NodeRef, PointerShape, Probe, Trie,
};
use crate::python::interpreter::free_threading::is_only_reference;
use crate::python::interpreter::memory::gc_pause::GcPause;
use crate::python::interpreter::memory::{gc, trashcan};
use crate::python::interpreter::type_object::no_memory;
use crate::python::interpreter::{
    ErrorSet, FreeList, Method, Owned, RawObject, Slot, TypeHandle, TypeSpec, TypedObject, ffi,
    typed_object, types,
};
use std::alloc::Layout;
use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, offset_of};
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU64, Ordering};

/// The heap whose nodes are Python objects.
pub(crate) enum PyHeap {}

pub(crate) type PyNode = NonNull<Node<PyHeap>>;

/// What a `Map` keeps besides its entries.
#[repr(C)]
pub(crate) struct MapTag {
    /// If the map is the bindings of a context, their version; else the empty one.
    version: Version,
    /// The hash of the map, -1 if it is not known.
    pub(crate) hash: AtomicIsize,
    weak_references: AtomicPtr<ffi::PyObject>,
}

impl Default for MapTag {
    #[inline]
    fn default() -> Self {
        let weak_references = AtomicPtr::new(ptr::null_mut());
        Self { version: Version::EMPTY, hash: AtomicIsize::new(-1), weak_references }
    }
}

impl MapTag {
    #[inline]
    fn is_weakly_referenced(&self) -> bool {
        !self.weak_references.load(Ordering::Relaxed).is_null()
    }
}

impl Versioned for MapTag {
    #[inline]
    fn version(&self) -> Version {
        self.version
    }

    #[inline]
    fn set_version(&mut self, version: Version) {
        self.version = version;
    }
}

/// The part of a map's hash that the entries below a branch have, 0 if it is not known.
#[derive(Default)]
#[repr(transparent)]
pub(crate) struct HashPart(AtomicU64);

impl DigestCache for HashPart {
    fn get(&self) -> Option<u64> {
        let sum = self.0.load(Ordering::Relaxed);
        (sum != 0).then_some(sum)
    }

    fn set(&self, sum: u64) {
        self.0.store(sum, Ordering::Relaxed);
    }
}

const WORD: usize = size_of::<usize>();

/// Free lists for nodes of up to this many words: all branches, and the leaves that matter most.
const SIZES: usize = 41;
const KEPT: usize = 32;

static FREE_NODES: [FreeList<KEPT>; SIZES] = [const { FreeList::new() }; SIZES];
static FREE_ROOTS: [FreeList<KEPT>; SIZES] = [const { FreeList::new() }; SIZES];

/// Bytes of an object before its node, and up to the end of what all `Map` objects have.
const HEAD: usize = size_of::<ffi::PyObject>();
const MAP_SIZE: usize = HEAD + Node::<PyHeap>::TAG + size_of::<MapTag>();

/// Where a `Map` keeps its weak references.
pub(crate) const WEAK_REFERENCES: usize =
    HEAD + Node::<PyHeap>::TAG + offset_of!(MapTag, weak_references);

/// The one map without entries.
static EMPTY: AtomicPtr<Node<PyHeap>> = AtomicPtr::new(ptr::null_mut());

#[inline]
fn object_of(node: PyNode) -> RawObject {
    // SAFETY: `allocate` puts the head of an object in front of each node.
    unsafe { node.byte_sub(HEAD).as_ptr().cast() }
}

/// The object that a node is, not counted.
#[inline]
pub(crate) fn object_of_ref(node: &NodeRef<PyHeap>) -> RawObject {
    object_of(node.as_ptr())
}

/// The node that `object` is.
///
/// # Safety
///
/// `object` is a node: a `Map`, or below one.
#[inline]
unsafe fn node_of(object: RawObject) -> PyNode {
    // SAFETY: a node lies behind its head.
    unsafe { NonNull::new_unchecked(object.byte_add(HEAD).cast()) }
}

/// Whether the collector may have to follow a reference to `object`: the rule of `dict`.
#[inline]
pub(crate) fn may_be_tracked(object: &Owned) -> bool {
    // SAFETY: the object is alive.
    unsafe {
        let (object, class) = (object.as_ptr(), ffi::Py_TYPE(object.as_ptr()));
        if ffi::PyType_IS_GC(class) == 0 {
            return false;
        }
        // These two are tracked from the start if ever. (So is a map, but a nest of maps has to be
        // traced, because what is not is dropped without a bound on its depth.)
        let immutable = ffi::PyTuple_CheckExact(object) != 0
            || types::CONTEXT_VAR.is_type_of(Owned::borrowed(&object));
        !immutable || ffi::PyObject_GC_IsTracked(object) != 0
    }
}

// SAFETY: nodes are objects with a reference count of their own, handled by CPython's rules; the
// last reference calls `dealloc` below.
unsafe impl Heap for PyHeap {
    type Key = Owned;
    type Value = Owned;
    type Tag = MapTag;
    type DigestCache = HashPart;
    type LowWord = u32;
    type Error = ErrorSet;
    type Shape = PointerShape;

    const CLONE_IS_BITWISE: bool = true;

    #[inline]
    fn allocate(layout: NodeLayout) -> Result<PyNode, ErrorSet> {
        debug_assert!(layout.memory.align() <= WORD);
        let (class, fixed) = class_of(layout);
        // SAFETY: blocks of a free list were nodes of this type with this number of words. The new object
        // has `HEAD` bytes before the node, and as many words behind it as the layout asks for.
        unsafe {
            let kept = free_list(layout).and_then(|list| list.take());
            let object = match kept {
                Some(object) => object,
                None => {
                    let words = (HEAD + layout.memory.size() - fixed).div_ceil(WORD);
                    // Other nodes of the edit may be tracked already and not be complete yet: a
                    // callback of the collector would see a map that is still being changed.
                    let _paused = GcPause::new();
                    ffi::PyObject_GC_NewVar(class.as_ptr(), words as isize)
                }
            };
            if object.is_null() { Err(ErrorSet) } else { Ok(node_of(object)) }
        }
    }

    fn out_of_memory(_: Layout) -> ErrorSet {
        no_memory()
    }

    #[inline]
    unsafe fn trace(node: PyNode) {
        // SAFETY: the node is complete, and not tracked yet.
        unsafe { ffi::PyObject_GC_Track(object_of(node).cast()) };
    }

    #[inline]
    fn is_key_traceable(key: &Owned) -> bool {
        may_be_tracked(key)
    }

    #[inline]
    fn is_value_traceable(value: &Owned) -> bool {
        may_be_tracked(value)
    }

    #[inline]
    fn is_identical(old: &Owned, new: &Owned) -> bool {
        ptr::eq(old.as_ptr(), new.as_ptr())
    }

    fn rehash(key: &Owned) -> Option<u64> {
        // SAFETY: the key is alive, and is or will be in a map, and so has been hashed.
        unsafe { second_hash::rehash(key.as_ptr()) }
    }

    #[inline]
    unsafe fn retain(node: PyNode) {
        // SAFETY: the caller's reference keeps the object alive.
        unsafe { ffi::Py_INCREF(object_of(node)) };
    }

    #[inline]
    unsafe fn release(node: PyNode) {
        // SAFETY: the caller gives its reference back.
        unsafe { ffi::Py_DECREF(object_of(node)) };
    }

    #[inline]
    unsafe fn dealloc(node: PyNode, layout: NodeLayout) {
        let object = object_of(node);
        // SAFETY: the caller owns the memory, whose contents are gone. Untracking an object that
        // is not tracked is allowed.
        unsafe {
            ffi::PyObject_GC_UnTrack(object.cast());
            trashcan::clear_reference_count(object);
            free(object, layout);
        }
    }

    #[inline]
    unsafe fn is_unique(node: PyNode) -> bool {
        // SAFETY: the caller's reference keeps the object alive. A map with weak
        // references has been seen by other code, and must not change.
        unsafe {
            is_only_reference(Owned::borrowed(&object_of(node)))
                && (!node.as_ref().is_root() || !tag_of(node).is_weakly_referenced())
        }
    }
}

/// The class of a node, and the bytes that all its instances have.
#[inline]
fn class_of(layout: NodeLayout) -> (&'static TypeHandle, usize) {
    if layout.is_root { (&types::MAP, MAP_SIZE) } else { (&types::NODE, HEAD) }
}

/// The list of free blocks for such a node, unless it is too large for one.
#[inline]
fn free_list(layout: NodeLayout) -> Option<&'static FreeList<KEPT>> {
    let lists = if layout.is_root { &FREE_ROOTS } else { &FREE_NODES };
    lists.get(layout.memory.size().div_ceil(WORD))
}

/// # Safety
///
/// `node` is a live root.
#[inline]
unsafe fn tag_of<'a>(node: PyNode) -> &'a MapTag {
    // SAFETY: a root has a tag.
    unsafe { node.byte_add(Node::<PyHeap>::TAG).cast().as_ref() }
}

typed_object! {
    /// A `Map`.
    MapObject: MAP
}

/// The trie of a `Map`, borrowed for as long as the reference to the map lives.
pub(crate) struct BorrowedTrie<'a>(ManuallyDrop<Trie<PyHeap>>, PhantomData<&'a MapObject>);

impl Deref for BorrowedTrie<'_> {
    type Target = Trie<PyHeap>;

    #[inline(always)]
    fn deref(&self) -> &Trie<PyHeap> {
        &self.0
    }
}

impl MapObject {
    /// The `Map` with the root of this trie. A trie without a root is the empty map.
    #[inline(always)]
    pub(crate) fn from_trie(trie: Trie<PyHeap>) -> Self {
        let node = trie.into_root().unwrap_or_else(|| {
            // SAFETY: `init` has made the empty map, to which `EMPTY` keeps a reference.
            unsafe {
                let empty = NonNull::new_unchecked(EMPTY.load(Ordering::Relaxed));
                PyHeap::retain(empty);
                NodeRef::from_raw(empty)
            }
        });
        // SAFETY: a root is an instance of `Map`, and the reference to the node is one to it.
        unsafe {
            let object = Owned::new(object_of(node.into_raw())).unwrap_unchecked();
            Self::from_owned_unchecked(object)
        }
    }

    /// The trie of the map, without a reference of its own. O(1).
    #[inline(always)]
    pub(crate) fn trie(&self) -> BorrowedTrie<'_> {
        // SAFETY: a `Map` is a root. The trie borrows the reference of `self`, which outlives the
        // result; `ManuallyDrop` keeps the trie from giving it back.
        let root = unsafe {
            let node = node_of(self.as_ptr());
            let is_empty = ptr::eq(node.as_ptr(), EMPTY.load(Ordering::Relaxed));
            (!is_empty).then(|| NodeRef::from_raw(node))
        };
        BorrowedTrie(ManuallyDrop::new(Trie::from_root(root)), PhantomData)
    }

    /// The trie of the map, with a reference of its own. O(1).
    #[inline(always)]
    pub(crate) fn share(&self) -> Trie<PyHeap> {
        Trie::clone(&*self.trie())
    }

    /// The value of a key. O(log n).
    #[inline(always)]
    pub(crate) fn value_of(
        &self,
        hash: HashOf<PyHeap>,
        key: impl Probe<PyHeap>,
    ) -> Result<Option<&Owned>, ErrorSet> {
        let found = self.trie().get(hash, key)?.map(|entry| &raw const entry.value);
        // SAFETY: the map, which `self` keeps alive, does not change, and keeps its entries alive.
        Ok(found.map(|value| unsafe { &*value }))
    }

    /// The data of the map besides its entries.
    #[inline(always)]
    pub(crate) fn tag(&self) -> &MapTag {
        // SAFETY: a `Map` is a root, and so has a tag.
        unsafe { tag_of(node_of(self.as_ptr())) }
    }

    /// Number of entries. O(1).
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        // SAFETY: a `Map` is a root.
        unsafe { node_of(self.as_ptr()).as_ref().len() }
    }
}

/// Frees the memory of a dead node.
///
/// # Safety
///
/// The node is untracked, has no references, and its contents are gone.
#[inline]
unsafe fn free(object: RawObject, layout: NodeLayout) {
    // SAFETY: the node is dead and untracked, and the list is that of nodes with its layout.
    unsafe {
        match free_list(layout) {
            Some(list) => list.give(object),
            None => gc::free(object),
        }
    }
}

pub(crate) unsafe extern "C" fn dealloc_map(object: RawObject) {
    // SAFETY: CPython calls this when the last reference to a root is gone. The object is not
    // tracked while weak references to it are cleared.
    unsafe {
        if tag_of(node_of(object)).is_weakly_referenced() {
            ffi::PyObject_GC_UnTrack(object.cast());
            ffi::PyObject_ClearWeakRefs(object);
        }
        dealloc(object);
    }
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this when the last reference to a node is gone.
    unsafe {
        if node_of(object).as_ref().is_traced() {
            ffi::PyObject_GC_UnTrack(object.cast());
            trashcan::bounded(object, || drop_and_free(object));
        } else {
            // Everything below is atomic, so this goes no deeper than the trie.
            drop_and_free(object);
        }
    }
}

/// # Safety
///
/// `object` is a dead, untracked node.
#[inline]
unsafe fn drop_and_free(object: RawObject) {
    // SAFETY: the node is dead, so its contents are dropped once, and its memory is not used again.
    unsafe {
        let node = node_of(object);
        let layout = node.as_ref().layout();
        Node::drop_contents(node);
        free(object, layout);
    }
}

pub(crate) unsafe extern "C" fn traverse(
    object: RawObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: CPython calls this for a live node; a tracked one is complete.
    unsafe {
        let visited = |object: RawObject| match visit(object, arg) {
            0 => Ok(()),
            stop => Err(stop),
        };
        let all = match Node::contents(node_of(object)) {
            Contents::Leaf(leaf) => leaf.entries().iter().try_for_each(|entry| {
                visited(entry.key.as_ptr())?;
                visited(entry.value.as_ptr())
            }),
            Contents::Branch(children) => {
                children.iter().try_for_each(|child| visited(object_of(child.as_ptr())))
            }
        };
        match all {
            Ok(()) => gc::traverse(object, &[], visit, arg),
            Err(stop) => stop,
        }
    }
}

/// `__sizeof__`: the node without the header of the garbage collector, as for all objects.
///
/// # Safety
///
/// `object` is a node.
pub(crate) unsafe extern "C" fn sizeof(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: a node lies behind the head of its object, and is alive during the call.
    unsafe { ffi::PyLong_FromSize_t(HEAD + node_of(object).as_ref().layout().memory.size()) }
}

/// The row of the method table for [`sizeof`].
///
/// # Safety
///
/// `T` accepts nodes only.
pub(crate) unsafe fn sizeof_method<T: TypedObject>(doc: &'static CStr) -> Method<T> {
    let call = ffi::PyMethodDefPointer { PyCFunction: sizeof };
    // SAFETY: the function takes a node and no arguments.
    unsafe { Method::raw(c"__sizeof__", call, ffi::METH_NOARGS, doc) }
}

/// The bytes of a `Map` that its class tells CPython of, and those of an item behind them.
pub(crate) const MAP_SIZES: (usize, usize) = (MAP_SIZE, WORD);

typed_object! {
    /// A node below the root of a map, as an object.
    NodeObject: NODE
}

/// Makes the type of the nodes below a root, and the empty map. It follows the type of maps.
pub(crate) fn init() -> Result<(), ErrorSet> {
    // SAFETY: `dealloc`, `traverse` and `sizeof` work on nodes, which all instances are: their
    // memory is a head and, as items of one word each, a node.
    unsafe {
        let spec = TypeSpec::<NodeObject> {
            name: c"ctxvars._core.Node",
            flags: ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
            slots: vec![
                Slot::raw(ffi::Py_tp_dealloc, dealloc as *mut c_void),
                Slot::raw(ffi::Py_tp_traverse, traverse as *mut c_void),
            ],
            methods: vec![sizeof_method(c"Size of the node in bytes.")],
            ..TypeSpec::default()
        };
        types::NODE.make(HEAD, WORD, spec)?;
    }
    let empty = NodeRef::<PyHeap>::placeholder()?;
    EMPTY.store(empty.into_raw().as_ptr(), Ordering::Relaxed);
    Ok(())
}
