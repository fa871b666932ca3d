//! Setting the root variable in a context that shares its values with a copy: the nodes on the path
//! to the value are copied, as `PyContextVar_Set` does, without a native token.

#![allow(unsafe_code)] // Reads and makes objects of the interpreter.

use super::{
    CHILDREN, LAYOUT, Types, Walk, cache, current_context, current_slot, field, read,
    replace_variables, types, walk, walk_in,
};
use crate::python::context::root_variable;
use crate::python::interpreter::error::clear_exception;
use crate::python::interpreter::memory::gc_pause::GcPause;
use crate::python::interpreter::{Owned, RawObject, ffi};
use std::mem::MaybeUninit;
use std::ptr;

/// The greatest number of nodes on a path in a HAMT: one for each five bits of the hash, and one.
const LONGEST: usize = 8;

/// The path from the current context to the value of the root variable.
pub(crate) struct Path {
    context: Owned,
    hamt: Owned,
}

impl Path {
    /// The path and the value, if the root variable has a value and the layout is known.
    #[inline]
    pub(crate) fn current() -> Option<(Self, Owned)> {
        let context = current_context()?;
        // SAFETY: the layout is known. The context owns its HAMT, and the HAMT its nodes and values.
        unsafe {
            let Walk::Value(value) = walk_in(&LAYOUT, &types(), context.as_ptr(), false) else {
                return None;
            };
            let value = Owned::from_borrowed(value);
            let hamt = Owned::from_borrowed(read(context.as_ptr(), LAYOUT.context_variables));
            Some((Self { context, hamt }, value))
        }
    }

    /// Makes `value` the value of the root variable, and returns the context and the old HAMT, which
    /// the caller drops; or `None`, if the public C API has to do it.
    ///
    /// This does what `PyContextVar_Set` does, without a native token.
    #[inline]
    pub(crate) fn replace(self, value: &Owned, _: &GcPause) -> Option<(Owned, Owned)> {
        // SAFETY: the layout is known. `hamt` keeps the nodes and their items alive. The collector
        // is paused, so no code runs between the check and the end, and the context stays current.
        // The walk writes the first `depth` of the nodes.
        unsafe {
            let context = self.context.as_ptr();
            let slot = current_slot()?;
            let is_unchanged = ptr::eq(*slot, context)
                && ptr::eq(read(context, LAYOUT.context_variables), self.hamt.as_ptr());
            if !is_unchanged {
                return None;
            }
            let types = types();
            // The nodes, and in each the address of the item that leads to the value.
            let mut nodes = [const { MaybeUninit::uninit() }; LONGEST];
            let mut depth = 0;
            let follow = |node, item| {
                nodes[depth].write((node, item));
                depth += 1;
            };
            let root = read(self.hamt.as_ptr(), LAYOUT.hamt_root);
            let key = (root_variable::variable().as_ptr(), types.root_hash);
            walk(&LAYOUT, root, key, |node| types.kind_of(node), follow);
            let mut child = value.clone();
            for visited in nodes[..depth].iter().rev() {
                let (node, item) = visited.assume_init();
                child = with_item(&types, node, item, child)?;
            }
            let hamt = new_object(types.hamt, None)?;
            field::<RawObject>(hamt, LAYOUT.hamt_root).write(child.into_ptr());
            field::<RawObject>(hamt, LAYOUT.hamt_weak_references).write(ptr::null_mut());
            let count: usize = read(self.hamt.as_ptr(), LAYOUT.hamt_count);
            field::<usize>(hamt, LAYOUT.hamt_count).write(count);
            ffi::PyObject_GC_Track(hamt.cast());
            let old = replace_variables(&self.context, Owned::new(hamt).ok()?)?;
            cache(slot, value.as_ptr());
            Some((self.context, old))
        }
    }
}

/// A new object, which is not tracked, and whose fields are not initialised. `None` if no memory is
/// left.
///
/// # Safety
///
/// The type is that of HAMTs or of their nodes; it has items if `count` is a number.
unsafe fn new_object(class: *mut ffi::PyTypeObject, count: Option<usize>) -> Option<RawObject> {
    // SAFETY: the types of HAMTs and nodes have a collector header.
    let object: RawObject = unsafe {
        match count {
            Some(count) => ffi::PyObject_GC_NewVar(class, count as isize),
            None => ffi::PyObject_GC_New(class),
        }
    };
    if object.is_null() {
        clear_exception();
        return None;
    }
    Some(object)
}

/// A copy of a node with another object in the place of `item`. `None` if no memory is left.
///
/// # Safety
///
/// The node is alive and of one of these types, and `item` is the address of an item in it.
unsafe fn with_item(
    types: &Types,
    node: RawObject,
    item: *const RawObject,
    object: Owned,
) -> Option<Owned> {
    // SAFETY: the node has this layout. The copy gets as many items, each with a reference, before
    // other code can see it.
    unsafe {
        let (copy, offset, count) = if ptr::eq(ffi::Py_TYPE(node), types.bitmap) {
            let count: usize = read(node, LAYOUT.bitmap_count);
            let copy = new_object(types.bitmap, Some(count))?;
            let bits: u32 = read(node, LAYOUT.bitmap_bitmap);
            field::<u32>(copy, LAYOUT.bitmap_bitmap).write(bits);
            (copy, LAYOUT.bitmap_items, count)
        } else {
            let copy = new_object(types.array, None)?;
            let count: usize = read(node, LAYOUT.array_count);
            field::<usize>(copy, LAYOUT.array_count).write(count);
            (copy, LAYOUT.array_children, CHILDREN)
        };
        let (items, copies) = (field::<RawObject>(node, offset), field::<RawObject>(copy, offset));
        for index in 0..count {
            let (from, to) = (items.add(index), copies.add(index));
            to.write(*from);
            if !ptr::eq(from, item) && !(*from).is_null() {
                ffi::Py_INCREF(*from);
            }
        }
        copies.byte_add(item.addr() - items.addr()).write(object.into_ptr());
        ffi::PyObject_GC_Track(copy.cast());
        Owned::new(copy).ok()
    }
}
