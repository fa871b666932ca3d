//! The memory of native contexts: which context is current, and who owns its bindings.
//!
//! **Architecture invariant:** this folder is the only one that knows where CPython keeps something
//! in its objects.
//!
//! | file | concept |
//! | --- | --- |
//! | `mod.rs` | the layout; the current context, and the value of the root variable in a context |
//! | `path.rs` | setting the root variable in a context that shares its values with a copy |
//! | `pool.rs` | native contexts that are used again |
//! | `verify.rs` | comparing the layout with the interpreter, during the import |
//!
//! No public function of CPython returns the current context, or says whether a context shares its
//! values with a copy. With this knowledge, a variable is set in place, in the cell that is the
//! value of the root variable:
//!
//! ```text
//! thread state -> context -> HAMT -> node -> ... -> node -> cell -> bindings
//! ```
//!
//! **Ownership.** The current context is the only owner of its cell if each object on this path has
//! a reference count of one, and the HAMT has no weak references. A holder of a copy of the
//! context, an iterator, a HAMT, a node or the cell has one of these references. The check must
//! look at each node, because a HAMT that was derived from another one can share a node in the
//! middle.
//!
//! Nothing here is used unless `verify.rs` has found, during the import, that the interpreter
//! has the expected layout. Otherwise [`is_active`] is false, and the functions of the public C API
//! do the work.

#![allow(unsafe_code)] // Reads objects of the interpreter.

mod path;
mod pool;
mod verify;

pub(crate) use path::Path;
pub(crate) use pool::{empty, fill, show, traverse_hidden};
pub(crate) use verify::{init, verify_function};

use super::{native, root_variable};
use crate::python::interpreter::{Owned, RawObject, ffi};
use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// The size of the head of an object.
const HEAD: usize = size_of::<ffi::PyObject>();
const WORD: usize = size_of::<usize>();
/// The number of children of an array node.
const CHILDREN: usize = 32;

macro_rules! layout {
    ($($(#[$doc:meta])* $field:ident = $value:expr,)*) => {
        /// Offsets in objects of the interpreter, and their sizes, in bytes.
        #[derive(Clone, Copy)]
        struct Layout {
            $($(#[$doc])* $field: usize,)*
        }

        /// The layout of CPython 3.11 to 3.15.
        const LAYOUT: Layout = Layout { $($field: $value,)* };

        impl Layout {
            /// The field with this name, for tests of the verification.
            fn field_mut(&mut self, name: &Owned) -> Option<&mut usize> {
                let fields = [$((concat!(stringify!($field), "\0"), &mut self.$field),)*];
                fields.into_iter().find_map(|(text, field)| {
                    let text = CStr::from_bytes_with_nul(text.as_bytes()).ok()?;
                    name.is_ascii(text).then_some(field)
                })
            }
        }
    };
}

layout! {
    /// In the thread state, from the current context: a number that grows with each change of the
    /// current context.
    thread_version = WORD,
    /// In the thread state, from the current context: the identity of the thread.
    thread_id = 2 * WORD,
    /// In a context: its HAMT.
    context_variables = HEAD + WORD,
    context_weak_references = HEAD + 2 * WORD,
    /// A C `int`: whether the context is entered.
    context_entered = HEAD + 3 * WORD,
    context_size = HEAD + 4 * WORD,
    hamt_root = HEAD,
    hamt_weak_references = HEAD + WORD,
    hamt_count = HEAD + 2 * WORD,
    hamt_size = HEAD + 3 * WORD,
    /// In a bitmap node: the number of items.
    bitmap_count = HEAD,
    /// In a bitmap node, a 32-bit number.
    bitmap_bitmap = HEAD + WORD,
    /// In a bitmap node: pairs of key and value, or of null and a node.
    bitmap_items = HEAD + 2 * WORD,
    bitmap_size = HEAD + 2 * WORD,
    /// In an array node: nodes or nulls.
    array_children = HEAD,
    array_count = HEAD + CHILDREN * WORD,
    array_size = HEAD + CHILDREN * WORD + WORD,
    /// In a native variable: the value that was found last, a borrowed reference.
    variable_cached = HEAD + 2 * WORD,
    /// The thread in which that value is right.
    variable_thread = HEAD + 3 * WORD,
    /// The number, in the thread state, for which that value is right.
    variable_version = HEAD + 4 * WORD,
    variable_size = HEAD + 6 * WORD,
}

/// The types of the objects below a context, and the hash of the root variable, as HAMTs use it.
#[derive(Clone, Copy)]
struct Types {
    hamt: *mut ffi::PyTypeObject,
    bitmap: *mut ffi::PyTypeObject,
    array: *mut ffi::PyTypeObject,
    root_hash: u32,
}

impl Types {
    /// The kind of a node.
    ///
    /// # Safety
    ///
    /// The node is alive.
    #[inline(always)]
    unsafe fn kind_of(&self, node: RawObject) -> Kind {
        // SAFETY: the node is alive.
        let class = unsafe { ffi::Py_TYPE(node) };
        if ptr::eq(class, self.bitmap) {
            Kind::Bitmap
        } else if ptr::eq(class, self.array) {
            Kind::Array
        } else {
            Kind::Other
        }
    }
}

/// The offset of the current context in the thread state; 0 if the layout is not known.
static THREAD_CONTEXT: AtomicUsize = AtomicUsize::new(0);
static HAMT: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());
static BITMAP: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());
static ARRAY: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());
static ROOT_HASH: AtomicU32 = AtomicU32::new(0);

/// Uses the layout from now on, which the verification has found to be right. `empty` is a context
/// without values.
fn activate(thread_context: usize, types: &Types, empty: &Owned) {
    pool::keep_empty(empty);
    HAMT.store(types.hamt, Ordering::Relaxed);
    BITMAP.store(types.bitmap, Ordering::Relaxed);
    ARRAY.store(types.array, Ordering::Relaxed);
    ROOT_HASH.store(types.root_hash, Ordering::Relaxed);
    THREAD_CONTEXT.store(thread_context, Ordering::Relaxed);
}

/// The types that the verification has found.
#[inline(always)]
fn types() -> Types {
    Types {
        hamt: HAMT.load(Ordering::Relaxed),
        bitmap: BITMAP.load(Ordering::Relaxed),
        array: ARRAY.load(Ordering::Relaxed),
        root_hash: ROOT_HASH.load(Ordering::Relaxed),
    }
}

/// Whether the layout of the interpreter is known.
#[inline(always)]
pub(crate) fn is_active() -> bool {
    cfg!(known_layout) && THREAD_CONTEXT.load(Ordering::Relaxed) != 0
}

/// The content of a field.
///
/// # Safety
///
/// A `T` lies at this offset of the object.
#[inline(always)]
unsafe fn read<T: Copy>(object: RawObject, offset: usize) -> T {
    // SAFETY: the contract of this function.
    unsafe { field::<T>(object, offset).read() }
}

/// The address of a field.
///
/// # Safety
///
/// A `T` lies at this offset of the object.
#[inline(always)]
unsafe fn field<T>(object: RawObject, offset: usize) -> *mut T {
    // SAFETY: the offset is inside of the object.
    unsafe { object.byte_add(offset).cast() }
}

/// The address, in the state of this thread, of the current context, which may be null. `None` if
/// the layout is not known.
#[inline(always)]
fn current_slot() -> Option<*mut RawObject> {
    let offset = if cfg!(known_layout) { THREAD_CONTEXT.load(Ordering::Relaxed) } else { 0 };
    // SAFETY: the thread is attached, so it has a state. The verification has found the offset.
    (offset != 0).then(|| unsafe { ffi::thread_state().byte_add(offset).cast() })
}

/// The current context of this thread, if it has one and the layout is known.
#[inline]
pub(crate) fn current_context() -> Option<Owned> {
    // SAFETY: the thread state owns a reference to the context.
    unsafe { Owned::borrowed_or_null(&*current_slot()?).cloned() }
}

/// Whether a native context is entered. The context that CPython makes for a thread is not.
pub(crate) fn is_entered(context: &Owned) -> bool {
    // SAFETY: callers pass native contexts, and the layout is known, so this is the field.
    is_active() && unsafe { read::<c_int>(context.as_ptr(), LAYOUT.context_entered) != 0 }
}

/// Whether the layout is known, and a context is the current one of this thread.
#[inline]
pub(crate) fn is_current(context: &Owned) -> bool {
    // SAFETY: the address is in the thread state. The pointers are only compared.
    current_slot().is_some_and(|slot| unsafe { ptr::eq(*slot, context.as_ptr()) })
}

/// The value of the root variable in the current context; `None` if it has none, or only the public
/// C API can tell.
///
/// A borrowed reference: the current context keeps the value alive until other code runs.
#[inline(always)]
pub(crate) fn current_value() -> Option<RawObject> {
    let slot = current_slot()?;
    let root = root_variable::variable().as_ptr();
    // SAFETY: the layout is known, so these are fields of the thread state and of a native variable.
    unsafe {
        let thread = slot.cast::<ffi::PyObject>();
        let cached: RawObject = read(root, LAYOUT.variable_cached);
        let is_right = read::<u64>(root, LAYOUT.variable_version)
            == read::<u64>(thread, LAYOUT.thread_version)
            && read::<u64>(root, LAYOUT.variable_thread) == read::<u64>(thread, LAYOUT.thread_id)
            && !(*slot).is_null()
            && !cached.is_null();
        if is_right { Some(cached) } else { found_value(slot) }
    }
}

/// Makes the root variable cache its value, after the public C API has set it.
///
/// `PyContextVar_Set` drops the old HAMT before it caches the value. A callback of a weak reference to
/// the HAMT may have set the variable to another value.
pub(crate) fn refresh_cache() {
    if let Some(slot) = current_slot() {
        // SAFETY: the address is that of the current context.
        unsafe { found_value(slot) };
    }
}

/// As [`current_value`], if the root variable has not cached the value. Caches it, as
/// `PyContextVar_Get` does.
///
/// # Safety
///
/// `slot` is the address of the current context in the state of this thread.
#[inline(never)]
unsafe fn found_value(slot: *mut RawObject) -> Option<RawObject> {
    // SAFETY: the layout is known, and the thread state owns the context, if there is one.
    unsafe {
        if (*slot).is_null() {
            return None;
        }
        let Walk::Value(value) = walk_in(&LAYOUT, &types(), *slot, false) else { return None };
        cache(slot, value);
        Some(value)
    }
}

/// Makes the root variable cache its value in the current context, as `PyContextVar_Set` does.
///
/// # Safety
///
/// `slot` is the address of the current context in the state of this thread, and `value` is the value
/// of the root variable in that context.
#[inline]
unsafe fn cache(slot: *mut RawObject, value: RawObject) {
    let (thread, root) = (slot.cast::<ffi::PyObject>(), root_variable::variable().as_ptr());
    // SAFETY: the layout is known, so these are fields of the thread state and of a native variable.
    unsafe {
        field::<RawObject>(root, LAYOUT.variable_cached).write(value);
        field::<u64>(root, LAYOUT.variable_thread).write(read(thread, LAYOUT.thread_id));
        field::<u64>(root, LAYOUT.variable_version).write(read(thread, LAYOUT.thread_version));
    }
}

/// The kinds of nodes of a HAMT.
enum Kind {
    Bitmap,
    Array,
    /// A node that this file does not read, such as that of a collision; or one that the walk must
    /// not enter.
    Other,
}

/// The result of looking for a variable in a HAMT.
enum Walk {
    /// Its value, a borrowed reference.
    Value(RawObject),
    /// It has no value.
    Absent,
    /// Only the public C API knows.
    Unknown,
}

/// The number of the pair, in its bitmap node, in which the root variable was found last. With few
/// other variables, it is there again, and bits need not be counted.
static LAST_PAIR: AtomicUsize = AtomicUsize::new(0);

/// Walks from the root node of a HAMT to the value of a variable with this hash. Calls `follow` with
/// each node, and with the address of the child or value in it that the walk follows.
///
/// # Safety
///
/// `node` is a live node of a HAMT. `kind_of` tells the kind of a node, which has this layout.
#[inline(always)]
unsafe fn walk(
    layout: &Layout,
    mut node: RawObject,
    (variable, mut hash): (RawObject, u32),
    mut kind_of: impl FnMut(RawObject) -> Kind,
    mut follow: impl FnMut(RawObject, *const RawObject),
) -> Walk {
    loop {
        let index = hash & 31;
        hash >>= 5;
        // SAFETY: a node keeps its children alive. A bitmap node has a pair of items for each bit,
        // in the order of the bits.
        unsafe {
            match kind_of(node) {
                Kind::Bitmap => {
                    let items = field::<RawObject>(node, layout.bitmap_items);
                    let last = 2 * LAST_PAIR.load(Ordering::Relaxed);
                    if last < read(node, layout.bitmap_count) && ptr::eq(*items.add(last), variable)
                    {
                        follow(node, items.add(last + 1));
                        return Walk::Value(*items.add(last + 1));
                    }
                    let bits: u32 = read(node, layout.bitmap_bitmap);
                    let bit = 1 << index;
                    if bits & bit == 0 {
                        return Walk::Absent;
                    }
                    let pair = (bits & (bit - 1)).count_ones() as usize;
                    let (key, value) = (*items.add(2 * pair), items.add(2 * pair + 1));
                    if !key.is_null() && !ptr::eq(key, variable) {
                        return Walk::Absent;
                    }
                    follow(node, value);
                    if !key.is_null() {
                        LAST_PAIR.store(pair, Ordering::Relaxed);
                        return Walk::Value(*value);
                    }
                    node = *value;
                }
                Kind::Array => {
                    let child = field::<RawObject>(node, layout.array_children).add(index as usize);
                    if (*child).is_null() {
                        return Walk::Absent;
                    }
                    follow(node, child);
                    node = *child;
                }
                Kind::Other => return Walk::Unknown,
            }
        }
    }
}

/// Walks in a native context to the value of the root variable. If `is_owned`, the result is
/// unknown unless the context is the only owner of the value.
///
/// # Safety
///
/// `context` is a live native context of this layout, and the objects below are of these types.
#[inline(always)]
unsafe fn walk_in(layout: &Layout, types: &Types, context: RawObject, is_owned: bool) -> Walk {
    // SAFETY: the field of a context is a HAMT, or null if the collector has cleared the context.
    // A HAMT has a root node.
    unsafe {
        let hamt: RawObject = read(context, layout.context_variables);
        if hamt.is_null() {
            return Walk::Absent;
        }
        let may_enter = |object| !is_owned || ffi::Py_REFCNT(object) == 1;
        let has_weak_references =
            || !read::<RawObject>(hamt, layout.hamt_weak_references).is_null();
        let is_readable = ptr::eq(ffi::Py_TYPE(hamt), types.hamt)
            && may_enter(hamt)
            && (!is_owned || !has_weak_references());
        if !is_readable {
            return Walk::Unknown;
        }
        let kind_of = |node| if may_enter(node) { types.kind_of(node) } else { Kind::Other };
        let node: RawObject = read(hamt, layout.hamt_root);
        let key = (root_variable::variable().as_ptr(), types.root_hash);
        match walk(layout, node, key, kind_of, |_, _| ()) {
            Walk::Value(value) if !may_enter(value) => Walk::Unknown,
            result => result,
        }
    }
}

/// The value of the root variable in the current context, with the context, if the context is the
/// only owner of the value. With `within`, also only if that is the current context.
#[inline]
pub(crate) fn owned_value(within: Option<&Owned>) -> Option<(Owned, Owned)> {
    // SAFETY: the layout is known. The thread state owns the context, which owns the value.
    unsafe {
        let context = *current_slot()?;
        if context.is_null() || within.is_some_and(|it| !ptr::eq(it.as_ptr(), context)) {
            return None;
        }
        match walk_in(&LAYOUT, &types(), context, true) {
            Walk::Value(value) => {
                Some((Owned::from_borrowed(value), Owned::from_borrowed(context)))
            }
            _ => None,
        }
    }
}

/// The value of the root variable in a native context: `None` if only the public C API knows,
/// `Some(None)` if the context has none.
#[inline]
pub(crate) fn value_in(context: &Owned) -> Option<Option<Owned>> {
    if !is_active() || !native::is_native_context(context) {
        return None;
    }
    // SAFETY: the layout is known, and the object is a native context, which owns the value.
    unsafe {
        match walk_in(&LAYOUT, &types(), context.as_ptr(), false) {
            Walk::Value(value) => Some(Some(Owned::from_borrowed(value))),
            Walk::Absent => Some(None),
            Walk::Unknown => None,
        }
    }
}

/// The hash of a variable, as HAMTs use it.
const fn hamt_hash(hash: ffi::Py_hash_t) -> u32 {
    let hash = hash as u64;
    let folded = (hash as u32) ^ ((hash >> 32) as u32);
    if folded == u32::MAX { u32::MAX - 1 } else { folded }
}

/// Replaces the HAMT of a native context, and returns the old one.
///
/// # Safety
///
/// The layout is known, the object is a native context that is not being cleared, and `hamt` is a
/// HAMT.
#[inline]
unsafe fn replace_variables(context: &Owned, hamt: Owned) -> Option<Owned> {
    // SAFETY: the field of a context owns a reference to a HAMT, or is null.
    unsafe {
        let slot = field::<RawObject>(context.as_ptr(), LAYOUT.context_variables);
        Owned::new(slot.replace(hamt.into_ptr())).ok()
    }
}
