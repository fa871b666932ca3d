//! Nodes of the map as Python objects, each traversed once by the garbage collector.
//!
//! Several maps share a node. If every map visited shared nodes, the collector would miscount
//! references and free live objects. So each node is a Python object: a map refers to nodes, and
//! only a node visits its keys and values.
//!
//! A root node is the `Map` object itself, so a small map is one object. The type of the other
//! nodes is not public.
//!
//! ```text
//!   object:   reference count, type | node: header | tag of a root | hashes, entries or children
//! ```
//!
//! A node is tracked only if a key or value below it may be part of a cycle, as for `dict` and
//! `tuple`. A map of a million `str` to `int` does not slow collections down.
//!
//! Nodes have no `tp_clear`, because they are immutable, like tuples. An immutable object refers
//! only to older objects. So a cycle through a node also contains an object that has changed after
//! its creation, and such an object can be cleared.

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
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// The heap whose nodes are Python objects.
pub(crate) enum PyHeap {}

pub(crate) type PyNode = NonNull<Node<PyHeap>>;

/// The data of a `Map` besides its entries.
#[repr(C)]
pub(crate) struct MapTag {
    /// The version, if the map is the bindings of a context; else the version of empty bindings.
    version: Version,
    /// Of bindings, the number of the [shape](Self::shape); else the hash, `NO_HASH` if not known.
    shape_or_hash: AtomicU64,
    weak_references: AtomicPtr<ffi::PyObject>,
}

/// No object has the hash -1.
const NO_HASH: u64 = -1_i64 as u64;

impl Default for MapTag {
    #[inline]
    fn default() -> Self {
        let weak_references = AtomicPtr::new(ptr::null_mut());
        let shape_or_hash = AtomicU64::new(NO_HASH);
        Self { version: Version::EMPTY, shape_or_hash, weak_references }
    }
}

impl MapTag {
    #[inline]
    pub(crate) fn is_weakly_referenced(&self) -> bool {
        !self.weak_references.load(Ordering::Relaxed).is_null()
    }

    /// The version that the bindings had when an entry last moved in memory, or an entry was added
    /// or removed. In bindings with the same shape, the value of each variable is at the same
    /// address.
    #[inline]
    pub(crate) fn shape(&self) -> Version {
        debug_assert!(self.version != Version::EMPTY, "other maps have no shape");
        Version::from_number(self.shape_or_hash.load(Ordering::Relaxed))
    }

    /// The hash of the map, if it is cached.
    #[inline]
    pub(crate) fn cached_hash(&self) -> Option<ffi::Py_hash_t> {
        let hash = self.shape_or_hash.load(Ordering::Relaxed);
        (self.version == Version::EMPTY && hash != NO_HASH).then_some(hash as ffi::Py_hash_t)
    }

    /// Caches the hash of the map, unless it is bindings.
    #[inline]
    pub(crate) fn cache_hash(&self, hash: ffi::Py_hash_t) {
        if self.version == Version::EMPTY {
            self.shape_or_hash.store(hash as u64, Ordering::Relaxed);
        }
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
        *self.shape_or_hash.get_mut() = version.number();
    }

    #[inline]
    fn set_version_in_place(&mut self, version: Version) {
        self.version = version;
    }
}

/// The sum of the hashes of the entries below a branch, 0 if it is not cached.
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

/// Nodes of fewer words than this have free lists: all branches, and most leaves.
const SIZES: usize = 41;
/// The length of a free list.
const KEPT: usize = 32;

static FREE_NODES: [FreeList<KEPT>; SIZES] = [const { FreeList::new() }; SIZES];
static FREE_ROOTS: [FreeList<KEPT>; SIZES] = [const { FreeList::new() }; SIZES];

/// The size of the object header, which lies before the node.
const HEAD: usize = size_of::<ffi::PyObject>();
/// The size of the part that all `Map` objects have: the headers and the tag.
const MAP_SIZE: usize = HEAD + Node::<PyHeap>::TAG + size_of::<MapTag>();

/// The offset of the list of weak references in a `Map`.
pub(crate) const WEAK_REFERENCES: usize =
    HEAD + Node::<PyHeap>::TAG + offset_of!(MapTag, weak_references);

/// The one map without entries.
static EMPTY: AtomicPtr<Node<PyHeap>> = AtomicPtr::new(ptr::null_mut());

#[inline]
fn object_of(node: PyNode) -> RawObject {
    // SAFETY: `allocate` is the only source of nodes, and puts an object header before each one, in
    // the same allocation.
    unsafe { node.byte_sub(HEAD).as_ptr().cast() }
}

/// The object of a node, as a borrowed reference.
#[inline]
pub(crate) fn object_of_ref(node: &NodeRef<PyHeap>) -> RawObject {
    object_of(node.as_ptr())
}

/// The node of an object.
///
/// # Safety
///
/// `object` is a node: an instance of `Map`, or a node below one.
#[inline]
unsafe fn node_of(object: RawObject) -> PyNode {
    // SAFETY: a node lies behind its object header, in the same allocation, so the sum is in bounds
    // and not null.
    unsafe { NonNull::new_unchecked(object.byte_add(HEAD).cast()) }
}

/// Whether a reference to `object` may be part of a cycle: the rule of `dict`.
#[inline]
pub(crate) fn may_be_tracked(object: &Owned) -> bool {
    // SAFETY: the reference keeps the object and its type alive. The functions only read them; the
    // last one is called for types with a collector header only.
    unsafe {
        let (object, class) = (object.as_ptr(), ffi::Py_TYPE(object.as_ptr()));
        if ffi::PyType_IS_GC(class) == 0 {
            return false;
        }
        // An object of these two types that is not tracked now is never tracked. (This holds for
        // maps, too, but nested maps must be traced: untraced nodes are dropped without a bound on
        // the stack.)
        let immutable = ffi::PyTuple_CheckExact(object) != 0
            || types::CONTEXT_VAR.is_type_of(Owned::borrowed(&object));
        !immutable || ffi::PyObject_GC_IsTracked(object) != 0
    }
}

// SAFETY: a node is an object with a reference count. `retain` and `release` change it as CPython
// does, and the last `release` calls `tp_dealloc`: `dealloc` below. `is_unique` compares the count
// with 1.
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
        // SAFETY: a block of the free list was a node of this type with this number of words. A new
        // object has `HEAD` bytes and, rounded up to words, the size of the layout behind them; the
        // memory of objects is aligned to words.
        unsafe {
            let kept = free_list(layout).and_then(|list| list.take());
            let object = match kept {
                Some(object) => object,
                None => {
                    let words = (HEAD + layout.memory.size() - fixed).div_ceil(WORD);
                    // The edit may have tracked other new nodes already. A callback of the
                    // collector would see nodes of a map that is not complete.
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
        // SAFETY: the contract of `trace` says that the node is complete, and is traced once. So
        // the collector may traverse it, and it is not in a list of the collector yet.
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
        // SAFETY: the reference keeps the key alive. All operations of a map take the hash of a
        // key, so the key has been hashed before.
        unsafe { second_hash::rehash(key.as_ptr()) }
    }

    #[inline]
    unsafe fn retain(node: PyNode) {
        // SAFETY: the caller has a reference to the node, so its object is alive.
        unsafe { ffi::Py_INCREF(object_of(node)) };
    }

    #[inline]
    unsafe fn release(node: PyNode) {
        // SAFETY: the caller owns a reference to the node, and does not use it any more.
        unsafe { ffi::Py_DECREF(object_of(node)) };
    }

    #[inline]
    unsafe fn dealloc(node: PyNode, layout: NodeLayout) {
        let object = object_of(node);
        // SAFETY: the contract of `dealloc` says that the caller owns the memory, and that the
        // contents have been moved or dropped. Untracking is allowed for objects that are not
        // tracked. A reference count of 0 is what the free list and `gc::free` expect.
        unsafe {
            ffi::PyObject_GC_UnTrack(object.cast());
            trashcan::clear_reference_count(object);
            free(object, layout);
        }
    }

    #[inline]
    unsafe fn is_unique(node: PyNode) -> bool {
        // SAFETY: the caller has a reference to the node, so its object is alive; only a root has a
        // tag. (Other code can get a strong reference from a weak one, so a map with weak
        // references is shared.)
        unsafe {
            is_only_reference(Owned::borrowed(&object_of(node)))
                && (!node.as_ref().is_root() || !tag_of(node).is_weakly_referenced())
        }
    }
}

/// The type of a node, and its basic size.
#[inline]
fn class_of(layout: NodeLayout) -> (&'static TypeHandle, usize) {
    if layout.is_root { (&types::MAP, MAP_SIZE) } else { (&types::NODE, HEAD) }
}

/// The free list for nodes of this layout, `None` if they are too large.
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
    // SAFETY: the node is a root, so an initialised tag lies at this offset, and lives as long as
    // the node.
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
            // SAFETY: `init` has created the empty map during the import, and `EMPTY` owns a
            // reference to it forever. The new `NodeRef` owns the reference that `retain` adds.
            unsafe {
                let empty = NonNull::new_unchecked(EMPTY.load(Ordering::Relaxed));
                PyHeap::retain(empty);
                NodeRef::from_raw(empty)
            }
        });
        // SAFETY: the object of a root is an instance of `Map`, and not null. `into_raw` passes the
        // reference to the node on, which is a reference to the object.
        unsafe {
            let object = Owned::new(object_of(node.into_raw())).unwrap_unchecked();
            Self::from_owned_unchecked(object)
        }
    }

    /// The trie of the map, as a borrowed reference. O(1).
    #[inline(always)]
    pub(crate) fn trie(&self) -> BorrowedTrie<'_> {
        // SAFETY: a `Map` is a root node. The trie borrows the reference of `self`, which outlives
        // the result, and `ManuallyDrop` keeps the trie from dropping the reference.
        let root = unsafe {
            let node = node_of(self.as_ptr());
            let is_empty = ptr::eq(node.as_ptr(), EMPTY.load(Ordering::Relaxed));
            (!is_empty).then(|| NodeRef::from_raw(node))
        };
        BorrowedTrie(ManuallyDrop::new(Trie::from_root(root)), PhantomData)
    }

    /// The trie of the map, as a new reference. O(1).
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
        // The empty map is searched as well, since finding nothing there takes no longer than a test.
        // SAFETY: a `Map` is a root node. The `NodeRef` borrows the reference of `self`, and
        // `ManuallyDrop` keeps it from dropping the reference.
        let root = unsafe { ManuallyDrop::new(NodeRef::from_raw(node_of(self.as_ptr()))) };
        let found = root.find(hash, key)?.map(|entry| &raw const entry.value);
        // SAFETY: `self` keeps the map alive for the lifetime of the result. Only the owner of the
        // single reference to a node edits it, so the map does not change, and keeps the entry
        // alive.
        Ok(found.map(|value| unsafe { &*value }))
    }

    /// The data of the map besides its entries.
    #[inline(always)]
    pub(crate) fn tag(&self) -> &MapTag {
        // SAFETY: a `Map` is a root node, which `self` keeps alive.
        unsafe { tag_of(node_of(self.as_ptr())) }
    }

    /// Number of entries. O(1).
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        // SAFETY: a `Map` is a root node, which `self` keeps alive.
        unsafe { node_of(self.as_ptr()).as_ref().len() }
    }
}

/// Frees the memory of a dead node.
///
/// # Safety
///
/// The node is untracked, has no references, and its contents have been moved or dropped.
#[inline]
unsafe fn free(object: RawObject, layout: NodeLayout) {
    // SAFETY: the node is dead and untracked. The free list has blocks of its type and size only.
    unsafe {
        match free_list(layout) {
            Some(list) => list.give(object),
            None => gc::free(object),
        }
    }
}

pub(crate) unsafe extern "C" fn dealloc_map(object: RawObject) {
    // SAFETY: CPython calls this for a root without references, whose contents are still valid.
    // Callbacks of weak references run Python code, so the object is untracked first.
    unsafe {
        if tag_of(node_of(object)).is_weakly_referenced() {
            ffi::PyObject_GC_UnTrack(object.cast());
            ffi::PyObject_ClearWeakRefs(object);
        }
        dealloc(object);
    }
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this for a node without references, whose contents are still valid. A
    // traced node is untracked before it may be queued; other nodes are not tracked.
    unsafe {
        if node_of(object).as_ref().is_traced() {
            ffi::PyObject_GC_UnTrack(object.cast());
            trashcan::bounded(object, || drop_and_free(object));
        } else {
            // The keys and values are not containers, so the recursion is as deep as the trie at
            // most.
            drop_and_free(object);
        }
    }
}

/// # Safety
///
/// `object` is a dead, untracked node.
#[inline]
unsafe fn drop_and_free(object: RawObject) {
    // SAFETY: the node is dead, so no other code uses its contents or its memory. The layout is
    // read before the contents are dropped.
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
    // SAFETY: CPython calls this for nodes that the collector tracks or that Python code can reach
    // (`gc.get_referents`). These are alive and complete, and keep their keys, values and children
    // alive. `visit` and `arg` belong to this traversal.
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
    // SAFETY: the object is a node, by the contract, and the caller keeps it alive.
    unsafe { ffi::PyLong_FromSize_t(HEAD + node_of(object).as_ref().layout().memory.size()) }
}

/// The row of the method table for [`sizeof`].
///
/// # Safety
///
/// `T` accepts nodes only.
pub(crate) unsafe fn sizeof_method<T: TypedObject>(doc: &'static CStr) -> Method<T> {
    let call = ffi::PyMethodDefPointer { PyCFunction: sizeof };
    // SAFETY: the flag says that the function takes no arguments, so CPython passes null for them.
    // The type `T` accepts nodes only, so CPython passes a node as `self`.
    unsafe { Method::raw(c"__sizeof__", call, ffi::METH_NOARGS, doc) }
}

/// The basic size and the item size of the type `Map`.
pub(crate) const MAP_SIZES: (usize, usize) = (MAP_SIZE, WORD);

typed_object! {
    /// A node below the root of a map, as an object.
    NodeObject: NODE
}

/// Creates the type of the nodes below a root, and the empty map. The type `Map` exists already.
pub(crate) fn init() -> Result<(), ErrorSet> {
    // SAFETY: `allocate` creates all instances of the type, so they are nodes, as `dealloc`,
    // `traverse` and `sizeof` expect. An instance is an object header and items of one word, which
    // hold the node.
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
