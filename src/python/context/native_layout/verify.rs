//! Finding out, during the import, whether the layout is that of the objects of the interpreter.
//!
//! The verification compares the layout with what the public C API does, in contexts and with
//! variables that it makes. It reads memory inside of objects only, and follows only pointers that
//! the object also shows to the garbage collector. So a wrong layout is found without a crash:
//! then [`verify`] says what differs, and the layout is not used.

#![allow(unsafe_code)] // Reads objects of the interpreter.

use super::{
    CHILDREN, Kind, LAYOUT, Layout, Types, Walk, activate, field, hamt_hash, read, walk, walk_in,
};
use crate::context::Bindings;
use crate::python::context::cell::CellObject;
use crate::python::context::entered::Entered;
use crate::python::context::{native, root_variable};
use crate::python::interpreter::memory::gc_pause::GcPause;
use crate::python::interpreter::{
    ErrorSet, Exception, Owned, RawObject, exactly, ffi, module_function, raise, type_object,
};
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

/// Why the layout is not used.
enum Failure {
    /// The interpreter differs in this.
    Differs(&'static CStr),
    Raised(ErrorSet),
}

impl From<ErrorSet> for Failure {
    fn from(raised: ErrorSet) -> Self {
        Self::Raised(raised)
    }
}

type Checked<T> = Result<T, Failure>;

/// Fails with `what` unless `is_so`.
fn need(is_so: bool, what: &'static CStr) -> Checked<()> {
    if is_so { Ok(()) } else { Err(Failure::Differs(what)) }
}

/// The number of other variables that are set, one by one. Their hashes are addresses, so the path
/// to the root variable gets longer, and its first node becomes an array node.
const OTHERS: usize = 64;

/// The part of the thread state in which the current context is looked for. All supported versions
/// have larger thread states.
const SEARCHED: usize = 288;

/// Compares a layout with the interpreter.
fn verify(layout: &Layout) -> Checked<(usize, Types)> {
    let _paused = GcPause::new();
    let root = root_variable::variable().as_ptr();
    // SAFETY: types are alive, and their sizes are public.
    let [context_size, variable_size] = unsafe {
        [(&raw mut ffi::PyContext_Type), ffi::Py_TYPE(root)]
            .map(|class| (*class).tp_basicsize as usize)
    };
    need(context_size == layout.context_size, c"the size of a context")?;
    need(variable_size == layout.variable_size, c"the size of a variable")?;
    let in_context =
        [layout.context_variables, layout.context_weak_references, layout.context_entered];
    let in_variable = [layout.variable_cached, layout.variable_thread, layout.variable_version];
    need(are_inside(&in_context, context_size), c"the fields of a context")?;
    need(are_inside(&in_variable, variable_size), c"the fields of a variable")?;
    let contexts = [native::new_context()?, native::new_context()?, native::new_context()?];
    let thread_context = thread_context(layout, &contexts)?;
    let types = inside(&contexts[0], || values(layout, thread_context, &contexts[0]))?;
    Ok((thread_context, types))
}

/// Whether words at these offsets are inside of an object of this size.
fn are_inside(offsets: &[usize], size: usize) -> bool {
    let is_inside = |end: usize| end <= size;
    offsets.iter().all(|&it| it % WORD == 0 && it.checked_add(WORD).is_some_and(is_inside))
}

const WORD: usize = size_of::<usize>();

/// Runs `body` in a context.
fn inside<R>(context: &Owned, body: impl FnOnce() -> Checked<R>) -> Checked<R> {
    Entered::new(context)?.run(|| Ok(body()))?
}

/// The offset of the current context in the thread state.
fn thread_context(layout: &Layout, contexts: &[Owned; 3]) -> Checked<usize> {
    let thread = ffi::thread_state();
    // SAFETY: the thread is attached, so it has a state, which is larger than the offsets here.
    let word = |offset: usize| unsafe { read::<u64>(thread, offset) };
    let words = || std::array::from_fn::<u64, { SEARCHED / WORD }, _>(|index| word(index * WORD));
    let before = words();
    let [first, second, third] = contexts;
    let [one, two, three] = inside(first, || {
        let one = words();
        inside(second, || {
            let two = words();
            inside(third, || Ok([one, two, words()]))
        })
    })?;
    let after = words();
    let is_context = |index: &usize| {
        let is_at =
            |words: &[u64], context: &Owned| words[*index] == context.as_ptr().addr() as u64;
        is_at(&one, first)
            && is_at(&two, second)
            && is_at(&three, third)
            && before[*index] == after[*index]
    };
    let mut found = (0..SEARCHED / WORD).filter(is_context);
    let (Some(index), None) = (found.next(), found.next()) else {
        return Err(Failure::Differs(c"the current context in the thread state"));
    };
    let in_thread =
        [layout.thread_version, layout.thread_id].map(|offset| offset.saturating_add(index * WORD));
    need(are_inside(&in_thread, SEARCHED), c"the fields of the thread state")?;
    let [version, id] = in_thread;
    let version = |words: &[u64]| words[version / WORD];
    let grows = version(&two) == version(&one) + 1 && version(&three) == version(&two) + 1;
    need(grows && version(&after) == version(&three) + 3, c"the version of the current context")?;
    // SAFETY: the thread is attached, so it has a state.
    let real_id = unsafe { ffi::PyThreadState_GetID(ffi::PyThreadState_Get()) };
    need(word(id) == real_id as u64, c"the identity of a thread")?;
    Ok(index * WORD)
}

/// Whether the garbage collector sees `wanted` from `object`.
fn refers_to(object: RawObject, wanted: RawObject) -> bool {
    unsafe extern "C" fn visit(object: RawObject, wanted: *mut c_void) -> c_int {
        c_int::from(ptr::eq(object, wanted.cast()))
    }
    // SAFETY: the object is alive and complete, and `visit` changes nothing.
    unsafe {
        (*ffi::Py_TYPE(object))
            .tp_traverse
            .is_some_and(|traverse| traverse(object, visit, wanted.cast()) != 0)
    }
}

/// Whether the name of a type ends with `end`.
///
/// # Safety
///
/// The type is alive.
unsafe fn is_named(class: *mut ffi::PyTypeObject, end: &str) -> bool {
    // SAFETY: the name of a type ends with a null byte.
    unsafe { CStr::from_ptr((*class).tp_name) }.to_bytes().ends_with(end.as_bytes())
}

/// The HAMT of a context.
fn hamt_of(layout: &Layout, context: &Owned) -> Checked<RawObject> {
    // SAFETY: the field is inside of a context. It is followed only if the context shows the same
    // pointer to the collector, so it is a live object.
    unsafe {
        let hamt: RawObject = read(context.as_ptr(), layout.context_variables);
        need(refers_to(context.as_ptr(), hamt), c"the variables of a context")?;
        let class = ffi::Py_TYPE(hamt);
        let is_it = is_named(class, "hamt") && (*class).tp_basicsize as usize == layout.hamt_size;
        need(is_it, c"the type of the variables of a context")?;
        let fields = [layout.hamt_root, layout.hamt_weak_references, layout.hamt_count];
        need(are_inside(&fields, layout.hamt_size), c"the fields of a HAMT")?;
        let is_same = (*class).tp_weaklistoffset as usize == layout.hamt_weak_references;
        need(is_same, c"the weak references of a HAMT")?;
        Ok(hamt)
    }
}

/// The kind of a node, and its type, if its layout is the expected one.
///
/// # Safety
///
/// `node` is alive.
unsafe fn checked_kind(layout: &Layout, node: RawObject) -> (Kind, *mut ffi::PyTypeObject) {
    // SAFETY: the node is alive, and its type tells its size. A field is read only if it is inside.
    unsafe {
        let class = ffi::Py_TYPE(node);
        let size = (*class).tp_basicsize as usize;
        let is_bitmap = is_named(class, "hamt_bitmap_node")
            && size == layout.bitmap_size
            && size == layout.bitmap_items
            && (*class).tp_itemsize as usize == WORD
            && are_inside(&[layout.bitmap_count, layout.bitmap_bitmap], size)
            && layout.bitmap_count == size_of::<ffi::PyObject>()
            && 2 * read::<u32>(node, layout.bitmap_bitmap).count_ones() as usize
                == read::<usize>(node, layout.bitmap_count);
        if is_bitmap {
            return (Kind::Bitmap, class);
        }
        let fields = [
            layout.array_children,
            layout.array_children.saturating_add(31 * WORD),
            layout.array_count,
        ];
        let is_array = is_named(class, "hamt_array_node")
            && size == layout.array_size
            && are_inside(&fields, size)
            && {
                let children = field::<RawObject>(node, layout.array_children);
                let count =
                    (0..CHILDREN).filter(|&index| !(*children.add(index)).is_null()).count();
                count == read::<usize>(node, layout.array_count)
            };
        (if is_array { Kind::Array } else { Kind::Other }, class)
    }
}

/// Finds the value of the root variable in a context, and the types on the way; `previous` are the
/// types that have been found before.
fn checked_walk(layout: &Layout, context: &Owned, previous: &Types) -> Checked<(RawObject, Types)> {
    let hamt = hamt_of(layout, context)?;
    let variable = root_variable::variable();
    let mut types = *previous;
    // SAFETY: the field is inside of a HAMT, which is alive.
    let root: RawObject = unsafe {
        types.hamt = ffi::Py_TYPE(hamt);
        read(hamt, layout.hamt_root)
    };
    let mut parent = hamt;
    let kind_of = |node| {
        // Only a node that its parent shows to the collector is alive.
        if !refers_to(parent, node) {
            return Kind::Other;
        }
        parent = node;
        // SAFETY: the node is alive.
        let (kind, class) = unsafe { checked_kind(layout, node) };
        match kind {
            Kind::Bitmap => types.bitmap = class,
            Kind::Array => types.array = class,
            Kind::Other => {}
        }
        kind
    };
    // SAFETY: `kind_of` checks each node before `walk` reads it.
    let found =
        unsafe { walk(layout, root, (variable.as_ptr(), types.root_hash), kind_of, |_, _| ()) };
    match found {
        Walk::Value(value) if refers_to(parent, value) => Ok((value, types)),
        _ => Err(Failure::Differs(c"the nodes of a HAMT")),
    }
}

/// Whether the walk that is used later finds `value` in a context; and only if the context is its
/// only owner, if `is_owned`.
///
/// # Safety
///
/// `checked_walk` has found the value in the context.
unsafe fn is_found(
    layout: &Layout,
    types: &Types,
    context: &Owned,
    is_owned: bool,
    value: RawObject,
) -> bool {
    // SAFETY: `checked_walk` has found all objects on the path to have this layout.
    let found = unsafe { walk_in(layout, types, context.as_ptr(), is_owned) };
    matches!(found, Walk::Value(found) if ptr::eq(found, value))
}

/// Sets the root variable and others, in a context that is entered, and looks for its value.
fn values(layout: &Layout, thread_context: usize, context: &Owned) -> Checked<Types> {
    let root = root_variable::variable();
    let cell = CellObject::new(Bindings::new())?;
    let value = cell.as_ptr();
    let paused = GcPause::new();
    native::set(root, &cell, &paused)?;
    // SAFETY: the fields are inside of the variable and of the thread state.
    let is_cached = unsafe {
        let thread = ffi::thread_state().byte_add(thread_context).cast::<ffi::PyObject>();
        ptr::eq(read::<RawObject>(root.as_ptr(), layout.variable_cached), value)
            && read::<u64>(root.as_ptr(), layout.variable_version)
                == read::<u64>(thread, layout.thread_version)
            && read::<u64>(root.as_ptr(), layout.variable_thread)
                == read::<u64>(thread, layout.thread_id)
    };
    need(is_cached, c"the cache of a variable")?;
    weak_references_and_entry(layout, context)?;
    let unknown = Types {
        hamt: ptr::null_mut(),
        bitmap: ptr::null_mut(),
        array: ptr::null_mut(),
        root_hash: hamt_hash(root.hash()?),
    };
    let (_, mut types) = checked_walk(layout, context, &unknown)?;
    // SAFETY: in each of these cases, `checked_walk` has found the value before.
    let owned =
        |types: &Types, context: &Owned| unsafe { is_found(layout, types, context, true, value) };
    need(!owned(&types, context), c"the owners of a value that has another reference")?;
    drop(cell);
    need(owned(&types, context), c"the owner of a value")?;
    let mut others = Vec::new();
    for index in 0..OTHERS {
        let other = native::new_variable(c"ctxvars verifies the layout")?;
        native::set(&other, &Owned::none(), &paused)?;
        others.push(other);
        let (found, learned) = checked_walk(layout, context, &types)?;
        types = learned;
        // SAFETY: the HAMT was checked in `checked_walk`.
        let count: usize = unsafe { read(hamt_of(layout, context)?, layout.hamt_count) };
        need(count == index + 2, c"the number of values")?;
        let is_same = native::get(root)?.is_some_and(|it| ptr::eq(it.as_ptr(), value));
        need(is_same && ptr::eq(found, value), c"the value of a variable")?;
        need(owned(&types, context), c"the owner of a value among others")?;
        let copy = native::copy_of(context)?;
        checked_walk(layout, &copy, &types)?;
        // SAFETY: `checked_walk` has found the value in the copy.
        let is_in_copy = unsafe { is_found(layout, &types, &copy, false, value) };
        need(is_in_copy, c"the value of a variable in a copy")?;
        let is_shared = !owned(&types, context) && !owned(&types, &copy);
        need(is_shared, c"the owners of a value that a copy shares")?;
        if index % 2 == 1 {
            // The context gets another HAMT, which shares nodes with that of the copy.
            native::set(&others[index / 2], &Owned::from_bool(true), &paused)?;
            checked_walk(layout, context, &types)?;
            let is_shared = !owned(&types, context) && !owned(&types, &copy);
            need(is_shared, c"the owners of a value in a shared node")?;
        }
        drop(copy);
        need(owned(&types, context), c"the owner of a value without a copy")?;
    }
    need(!types.array.is_null(), c"an array node")?;
    Ok(types)
}

/// Compares the other fields of a context, which is entered.
fn weak_references_and_entry(layout: &Layout, context: &Owned) -> Checked<()> {
    let other = native::new_context()?;
    // SAFETY: types are alive. The fields are inside of a context.
    unsafe {
        let offset = ffi::PyContext_Type.tp_weaklistoffset as usize;
        need(offset == layout.context_weak_references, c"the weak references of a context")?;
        let is_entered = |context: &Owned| read::<c_int>(context.as_ptr(), layout.context_entered);
        let are_right = is_entered(context) == 1 && is_entered(&other) == 0;
        need(are_right, c"the mark of an entered context")
    }
}

/// Why the layout is not used, `None` if it is; or nothing before [`init`].
static REASON: OnceLock<Option<&CStr>> = OnceLock::new();

/// Finds out whether the layout is known, and uses it if it is. Adds the attribute `not_in_place`
/// to the module: why variables are not set in place, or `None`.
///
/// This makes instances, whose memory is kept in free lists. So no type may be made again later.
pub(crate) fn init(module: &Owned) -> Result<(), ErrorSet> {
    let reason = match REASON.get() {
        Some(reason) => *reason,
        None => {
            let reason = find_reason()?;
            *REASON.get_or_init(|| reason)
        }
    };
    let reason = reason.map_or_else(|| Ok(Owned::none()), Owned::text)?;
    type_object::add_all(module, [(c"not_in_place", reason)])
}

fn find_reason() -> Result<Option<&'static CStr>, ErrorSet> {
    if !cfg!(known_layout) {
        return Ok(Some(c"this build of the interpreter is not known"));
    }
    if std::env::var_os("CTXVARS_DIRECT").is_some_and(|value| value == "0") {
        return Ok(Some(c"CTXVARS_DIRECT=0 is in the environment"));
    }
    match verify(&LAYOUT) {
        Ok((thread_context, types)) => {
            activate(thread_context, &types, &native::new_context()?);
            Ok(None)
        }
        Err(Failure::Differs(what)) => Ok(Some(what)),
        Err(Failure::Raised(raised)) => Err(raised),
    }
}

/// `verify_layout(name, value, /)`: the result of the verification with one wrong number.
fn verify_layout(arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [name, value] = exactly(c"verify_layout", arguments)?;
    let mut layout = LAYOUT;
    let Some(field) = layout.field_mut(name) else {
        return Err(raise(Exception::ValueError, c"the layout has no field %R", name));
    };
    *field = value.to_long()? as usize;
    match verify(&layout) {
        Ok(_) => Ok(Owned::none()),
        Err(Failure::Differs(what)) => Owned::text(what),
        Err(Failure::Raised(raised)) => Err(raised),
    }
}

/// The function `verify_layout`, which is not public.
pub(crate) fn verify_function(module: &Owned) -> Result<Owned, ErrorSet> {
    let doc = c"verify_layout($module, name, value, /)\n--\n\n\
        Verify the layout of the objects of the interpreter, with one number replaced.\n\n\
        Return None, or what differs. For tests of the verification.";
    type_object::function(module, module_function(c"verify_layout", verify_layout, doc))
}
