//! Nodes of the map as Python objects, so that the cyclic collector counts right.
//!
//! Several maps share a node. Were the node visited from each map that reaches it, the collector
//! would count each reference that the node holds once for every map, and clear objects that are
//! alive. So the node is an object of its own: the maps refer to it, and it alone visits what it
//! holds.
//!
//! A node is tracked only if it holds something that the collector can reach (the rule of `dict`
//! and `tuple`): a map of a million `str` to `int` costs a collection nothing.
//!
//! Nodes have no `tp_clear`, like tuples: they are immutable, so every cycle through them also
//! passes through something that came to be before and was changed later, and that can be cleared.

#![allow(unsafe_code)] // Implements `Heap` on the allocator of CPython.

use super::class::{self, Class, FreeList};
use super::dropping;
use super::object::{Object, Owned, Raised, compared};
use super::variable;
use crate::context::{Bindings, BindingsHeap, Version};
use crate::map::{Contents, Heap, Node, NodeRef, Tuned};
use pyo3::ffi;
use std::alloc::Layout;
use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// What lies in front of a node.
#[repr(C)]
struct Head {
    object: ffi::PyObject,
    /// The version of the bindings whose root this node is.
    ///
    /// It lies where an object of variable size keeps its number of items, which CPython writes
    /// once, when it allocates the object, and never reads for a class with its own `__sizeof__`.
    version: Version,
}

/// The heap whose nodes are Python objects.
pub(super) enum PyHeap {}

pub(super) type PyNode = NonNull<Node<PyHeap>>;

static NODE: Class = Class::unset();

const WORD: usize = size_of::<usize>();

/// Free lists for nodes of up to this many words: all branches, and the leaves that matter most.
const SIZES: usize = 33;
const KEPT: usize = 32;

static FREE: [FreeList<KEPT>; SIZES] = [const { FreeList::new() }; SIZES];

/// The node that stands for bindings without entries where a pointer is needed.
static EMPTY: AtomicPtr<Node<PyHeap>> = AtomicPtr::new(ptr::null_mut());

#[inline]
fn object_of(node: PyNode) -> Object {
    // SAFETY: `allocate` puts the head in front of each node.
    unsafe { node.byte_sub(size_of::<Head>()).as_ptr().cast() }
}

/// The object that a node is, not counted.
#[inline]
pub(super) fn object_of_ref(node: &NodeRef<PyHeap>) -> Object {
    object_of(node.as_ptr())
}

/// The node that `object` is.
///
/// # Safety
///
/// `object` is an instance of the class of nodes.
#[inline]
unsafe fn node_of(object: Object) -> PyNode {
    // SAFETY: a node lies behind its head.
    unsafe { NonNull::new_unchecked(object.byte_add(size_of::<Head>()).cast()) }
}

/// Whether the collector may have to follow a reference to `object`: the rule of `dict`.
#[inline]
pub(super) fn may_be_tracked(object: &Owned) -> bool {
    // SAFETY: the object is alive.
    unsafe {
        let (object, class) = (object.as_ptr(), ffi::Py_TYPE(object.as_ptr()));
        if ffi::PyType_IS_GC(class) == 0 {
            return false;
        }
        // These two are tracked from the start if ever.
        let immutable = ffi::PyTuple_CheckExact(object) != 0 || variable::CLASS.is_class_of(object);
        !immutable || ffi::PyObject_GC_IsTracked(object) != 0
    }
}

// SAFETY: nodes are objects with a reference count of their own, handled by CPython's rules with
// the lock held; the last reference calls `dealloc` below.
unsafe impl Heap for PyHeap {
    type Key = Owned;
    type Value = Owned;
    type Tag = Version;
    type Error = Raised;
    type Shape = Tuned;

    #[inline]
    fn allocate(layout: Layout) -> Result<PyNode, Raised> {
        debug_assert!(layout.align() <= WORD);
        let words = layout.size().div_ceil(WORD);
        // SAFETY: the lock is held; blocks of a list all had this number of words.
        unsafe {
            let kept = FREE.get(words).and_then(|list| list.take());
            let object = match kept {
                Some(object) => object,
                None => ffi::PyObject_GC_NewVar(NODE.as_ptr(), words as isize),
            };
            if object.is_null() {
                return Err(Raised);
            }
            (*object.cast::<Head>()).version = Version::EMPTY;
            Ok(node_of(object))
        }
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
    unsafe fn discard(node: PyNode, layout: Layout) {
        let object = object_of(node);
        // SAFETY: the caller owns the memory, whose contents are gone. Untracking an object that
        // is not tracked is allowed.
        unsafe {
            ffi::PyObject_GC_UnTrack(object.cast());
            free(object, layout);
        }
    }

    #[inline]
    unsafe fn is_unique(node: PyNode) -> bool {
        // SAFETY: the caller's reference keeps the object alive.
        unsafe { ffi::Py_REFCNT(object_of(node)) == 1 }
    }

    #[inline]
    unsafe fn tag(node: PyNode) -> NonNull<Version> {
        // SAFETY: `allocate` has put the head there.
        unsafe {
            let head = object_of(node).cast::<Head>();
            NonNull::new_unchecked(&raw mut (*head).version)
        }
    }
}

static LAST_VERSION: AtomicU64 = AtomicU64::new(0);

impl BindingsHeap for PyHeap {
    /// The lock serves in place of an atomic addition.
    #[inline]
    fn next_version() -> Version {
        let version = LAST_VERSION.load(Ordering::Relaxed) + 1;
        LAST_VERSION.store(version, Ordering::Relaxed);
        Version::from_number(version)
    }
}

/// Bindings as one object: their root, or the empty node.
#[inline]
pub(super) fn into_object(bindings: Bindings<PyHeap>) -> Owned {
    let node = bindings.into_root().unwrap_or_else(|| {
        // SAFETY: `init` has made the empty node, and keeps it alive.
        unsafe {
            let empty = NonNull::new_unchecked(EMPTY.load(Ordering::Relaxed));
            PyHeap::retain(empty);
            NodeRef::from_raw(empty)
        }
    });
    // SAFETY: the reference goes from the node to the object that it is.
    unsafe { Owned::new(object_of(node.into_raw())).unwrap_unchecked() }
}

/// Whether `object` is a node, as what [`into_object`] returns is.
#[inline]
pub(super) fn is_node(object: &Owned) -> bool {
    // SAFETY: the object is alive.
    unsafe { NODE.is_class_of(object.as_ptr()) }
}

/// The bindings that [`into_object`] made `object` of, whose reference the caller keeps.
///
/// # Safety
///
/// `object` came from [`into_object`], and is kept alive for as long as the bindings are used.
#[inline]
pub(super) unsafe fn borrow(object: &Owned) -> ManuallyDrop<Bindings<PyHeap>> {
    // SAFETY: the object is a node, and no reference is given back for it.
    let root = unsafe {
        let node = node_of(object.as_ptr());
        let is_empty = ptr::eq(node.as_ptr(), EMPTY.load(Ordering::Relaxed));
        (!is_empty).then(|| NodeRef::from_raw(node))
    };
    ManuallyDrop::new(Bindings::from_root(root))
}

/// The bindings that [`into_object`] made `object` of, with a reference of their own. O(1).
///
/// # Safety
///
/// `object` came from [`into_object`].
#[inline]
pub(super) unsafe fn share(object: &Owned) -> Bindings<PyHeap> {
    // SAFETY: as the caller promises; `object` is borrowed for longer than this takes.
    unsafe { Bindings::clone(&*borrow(object)) }
}

/// The version of the bindings that [`into_object`] made `object` of.
///
/// # Safety
///
/// `object` came from [`into_object`].
#[inline]
pub(super) unsafe fn version_of(object: &Owned) -> Version {
    // SAFETY: the object is a node.
    unsafe { (*object.as_ptr().cast::<Head>()).version }
}

/// Whether both have the same variables with equal values, as `==` of the standard library's
/// contexts tells. O(changes x log n) for bindings that share nodes.
pub(super) fn are_equal(a: &Bindings<PyHeap>, b: &Bindings<PyHeap>) -> Result<bool, Raised> {
    a.trie().equal(b.trie(), |a, b| {
        let (ours, theirs) = (a.value.as_ptr(), b.value.as_ptr());
        if a.key.as_ptr() != b.key.as_ptr() {
            return Ok(None);
        }
        // SAFETY: the bindings, which the caller holds, keep the values alive.
        match unsafe { ffi::PyObject_RichCompareBool(ours, theirs, ffi::Py_EQ) } {
            ..0 => Err(Raised),
            equal => Ok(Some(equal != 0)),
        }
    })
}

/// `==` of bindings, for code that compares native contexts variable by variable.
unsafe extern "C" fn compare(object: Object, other: Object, operator: c_int) -> Object {
    // SAFETY: CPython checks the class of `object`; both are alive, and what is shared stays so.
    unsafe {
        let (object, other) = (Owned::borrowed(&object), Owned::borrowed(&other));
        compared(operator, is_node(other), || are_equal(&share(object), &share(other)))
    }
}

/// Frees the memory of a dead node.
///
/// # Safety
///
/// The node is untracked, has no references, and its contents are gone.
#[inline]
unsafe fn free(object: Object, layout: Layout) {
    // SAFETY: as the caller promises.
    unsafe {
        match FREE.get(layout.size().div_ceil(WORD)) {
            Some(list) => list.give(object),
            None => class::free(object),
        }
    }
}

unsafe extern "C" fn dealloc(object: Object) {
    // SAFETY: CPython calls this when the last reference to a node is gone. The version behind the
    // header is not needed any more.
    unsafe {
        if node_of(object).as_ref().is_traced() {
            ffi::PyObject_GC_UnTrack(object.cast());
            dropping::bounded(object, || drop_and_free(object));
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
unsafe fn drop_and_free(object: Object) {
    // SAFETY: as the caller promises.
    unsafe {
        let node = node_of(object);
        let layout = node.as_ref().layout();
        Node::drop_contents(node);
        free(object, layout);
    }
}

unsafe extern "C" fn traverse(object: Object, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for a live node; a tracked one is complete.
    unsafe {
        let visited = |object: Object| match visit(object, arg) {
            0 => Ok(()),
            stop => Err(stop),
        };
        let all = match Node::contents(node_of(object)) {
            Contents::Leaf(leaf) => leaf.entries().iter().try_for_each(|entry| {
                visited(entry.key.as_ptr())?;
                visited(entry.value.as_ptr())
            }),
            Contents::Branch(children) => {
                children.iter().flatten().try_for_each(|child| visited(object_of(child.as_ptr())))
            }
        };
        match all {
            Ok(()) => class::traverse(object, &[], visit, arg),
            Err(stop) => stop,
        }
    }
}

/// `__sizeof__`: the node without the collector's header, as for all objects.
unsafe extern "C" fn sizeof(object: Object, _: Object) -> Object {
    // SAFETY: CPython checks that `object` is a node.
    unsafe {
        let size = size_of::<Head>() + node_of(object).as_ref().layout().size();
        ffi::PyLong_FromSize_t(size)
    }
}

/// Makes the class of nodes, which Python code does not name, and the empty node.
pub(super) fn init() -> Result<(), Raised> {
    let call = ffi::PyMethodDefPointer { PyCFunction: sizeof };
    let methods = vec![
        class::method(c"__sizeof__", call, ffi::METH_NOARGS, c"Size of the node in bytes."),
        ffi::PyMethodDef::zeroed(),
    ];
    // SAFETY: each slot has the function that its number stands for.
    unsafe {
        NODE.make(
            c"ctxvars._core.Node",
            size_of::<Head>(),
            WORD,
            ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
            &[
                (ffi::Py_tp_dealloc, dealloc as *mut c_void),
                (ffi::Py_tp_traverse, traverse as *mut c_void),
                (ffi::Py_tp_richcompare, compare as *mut c_void),
                (ffi::Py_tp_hash, ffi::PyObject_HashNotImplemented as *mut c_void),
                (ffi::Py_tp_methods, class::leaked(methods)),
            ],
        )?;
    }
    let empty = NodeRef::<PyHeap>::placeholder()?;
    EMPTY.store(empty.into_raw().as_ptr(), Ordering::Relaxed);
    Ok(())
}
