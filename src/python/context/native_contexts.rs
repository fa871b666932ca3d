//! The interpreter's own contexts, made to show our variables: `extend_native_contexts`.
//!
//! A program that knows nothing of ctxvars gives contexts to C code (tasks, uvloop, greenlet), which
//! enters native ones only, and gets contexts from it (`Task.get_context`), which are native ones. So
//! under `python -m ctxvars run` there are no facades: `contextvars.Context` stays the class of the
//! interpreter. By itself that class shows all of our variables as one, the root. Here the functions
//! in its slots and in its method table are replaced, when a program asks for it:
//!
//! | what asks | what answers |
//! | --- | --- |
//! | `[]`, `in` and `get`, with a variable of ours | the bindings |
//! | the same, with any other key | the function of CPython |
//! | `len`, `==`, all that iterates | a map of both kinds of variables |
//!
//! `run`, `copy`, and the C API of contexts are as they were, and so they cost what they did. Other
//! interpreters of the process share the class, but none of our objects; they get the functions of
//! CPython.

#![allow(unsafe_code)] // Replaces functions in the tables of a class of the interpreter.

use super::{context, default_factory, root_variable};
use crate::map::Trie;
use crate::python::interpreter::ffi::CallSlot as _;
use crate::python::interpreter::free_threading::with_all_context_locks;
use crate::python::interpreter::types;
use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, RecursionGuard, catch_panic, eq_or_ne, ffi, get_or_default,
    main_interpreter, raise, raise_message, raise_value, type_object,
};
use crate::python::map::entries::{Entries, each_pair};
use crate::python::map::iterator::EntryPart;
use crate::python::map::key::{ByEquality, ByIdentity};
use crate::python::map::py_heap::PyHeap;
use crate::python::map::{diff_merge, iterator, py_heap};
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

/// The functions of CPython that have been replaced.
struct Replaced {
    compare: ffi::richcmpfunc,
    iter: ffi::getiterfunc,
    len: ffi::lenfunc,
    subscript: ffi::binaryfunc,
    contains: ffi::objobjproc,
    get: ffi::PyCFunctionFast,
    keys: ffi::PyCFunction,
    values: ffi::PyCFunction,
    items: ffi::PyCFunction,
}

static REPLACED: OnceLock<Replaced> = OnceLock::new();

/// `Err` before anything is replaced, when nothing here is called.
fn replaced() -> Result<&'static Replaced, ErrorSet> {
    let message = c"contexts have not been extended";
    // SAFETY: exceptions live as long as the interpreter.
    REPLACED.get().ok_or_else(|| raise_message(unsafe { ffi::PyExc_SystemError }, message))
}

/// The functions of CPython, if this is another interpreter.
fn replaced_elsewhere() -> Result<Option<&'static Replaced>, ErrorSet> {
    let replaced = replaced()?;
    Ok((!main_interpreter::is_main()).then_some(replaced))
}

/// What the context `object` shows: our variables, and native ones except for those which we keep
/// our own state in. O(n) in the number of native ones.
///
/// # Safety
///
/// `object` is a native context.
unsafe fn shown(object: RawObject) -> Result<Trie<PyHeap>, ErrorSet> {
    let (mut ours, mut others) = (Trie::new(), Entries::default());
    // SAFETY: CPython's function gets a context, as it expects. Its iterator is over one moment of
    // the context, in which there is one value of the root. A value that is checked is bindings.
    unsafe {
        let items = replaced()?.items;
        let items =
            with_all_context_locks(|| Owned::new(items.call_slot((object, ptr::null_mut()))))?;
        each_pair(items.as_ptr(), c"context", |variable, value| {
            if ptr::eq(variable.as_ptr(), root_variable::variable()) {
                ours = py_heap::share(root_variable::checked(value)?.as_ptr());
            } else if !default_factory::has_made(&value) {
                others.push(variable, value)?;
            }
            Ok(())
        })?;
    }
    // The keys are variables, which are compared by identity.
    others.added_to(&ours, &mut ByIdentity)
}

/// An iterator over all native variables of a native context, the root among them, whether contexts
/// have been extended or not.
pub(crate) fn variables(context: &Owned) -> Result<Owned, ErrorSet> {
    // SAFETY: the context is alive, and CPython's function gets one, as it expects.
    unsafe {
        Owned::new(match REPLACED.get() {
            Some(replaced) => replaced.iter.call_slot((context.as_ptr(),)),
            None => ffi::PyObject_GetIter(context.as_ptr()),
        })
    }
}

/// The number of native variables that have a value in a native context, with the root.
pub(crate) fn size(context: &Owned) -> Result<isize, ErrorSet> {
    // SAFETY: the context is alive, and CPython's function gets one, as it expects.
    let size = unsafe {
        match REPLACED.get() {
            Some(replaced) => replaced.len.call_slot((context.as_ptr(),)),
            None => ffi::PyObject_Size(context.as_ptr()),
        }
    };
    if size < 0 { Err(ErrorSet) } else { Ok(size) }
}

unsafe extern "C" fn subscript(object: RawObject, key: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; the key is alive.
    catch_panic(|| unsafe {
        if !types::CONTEXT_VAR.is_type_of(key) {
            return Ok(replaced()?.subscript.call_slot((object, key)));
        }
        match context::value_of(Owned::borrowed(&object), key)? {
            Some(value) => Ok(value.into_ptr()),
            None => Err(raise_value(ffi::PyExc_KeyError, key)),
        }
    })
}

unsafe extern "C" fn contains(object: RawObject, key: RawObject) -> c_int {
    // SAFETY: CPython checks the class of `object`; the key is alive.
    catch_panic(|| unsafe {
        if !types::CONTEXT_VAR.is_type_of(key) {
            return Ok(replaced()?.contains.call_slot((object, key)));
        }
        Ok(context::value_of(Owned::borrowed(&object), key)?.is_some().into())
    })
}

unsafe extern "C" fn get(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments.
    catch_panic(|| unsafe {
        if count < 1 || !types::CONTEXT_VAR.is_type_of(*arguments) {
            return Ok(replaced()?.get.call_slot((object, arguments, count)));
        }
        get_or_default(arguments, count, |key| context::value_of(Owned::borrowed(&object), key))
    })
}

unsafe extern "C" fn len(object: RawObject) -> ffi::Py_ssize_t {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        match replaced_elsewhere()? {
            Some(replaced) => Ok(replaced.len.call_slot((object,))),
            None => Ok(shown(object)?.len() as ffi::Py_ssize_t),
        }
    })
}

unsafe extern "C" fn iter(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        match replaced_elsewhere()? {
            Some(replaced) => Ok(replaced.iter.call_slot((object,))),
            None => iterator::over(shown(object)?, EntryPart::Key),
        }
    })
}

unsafe extern "C" fn keys(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        match replaced_elsewhere()? {
            Some(replaced) => Ok(replaced.keys.call_slot((object, ptr::null_mut()))),
            None => iterator::over(shown(object)?, EntryPart::Key),
        }
    })
}

unsafe extern "C" fn values(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        match replaced_elsewhere()? {
            Some(replaced) => Ok(replaced.values.call_slot((object, ptr::null_mut()))),
            None => iterator::over(shown(object)?, EntryPart::Value),
        }
    })
}

unsafe extern "C" fn items(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        match replaced_elsewhere()? {
            Some(replaced) => Ok(replaced.items.call_slot((object, ptr::null_mut()))),
            None => iterator::over(shown(object)?, EntryPart::Item),
        }
    })
}

unsafe extern "C" fn compare(object: RawObject, other: RawObject, operator: c_int) -> RawObject {
    // SAFETY: both are alive, and CPython's function takes any two objects.
    catch_panic(|| unsafe {
        if let Some(replaced) = replaced_elsewhere()? {
            return Ok(replaced.compare.call_slot((object, other, operator)));
        }
        let are_contexts =
            ffi::PyContext_CheckExact(object) != 0 && ffi::PyContext_CheckExact(other) != 0;
        Ok(eq_or_ne(operator, are_contexts, || {
            let own = shown(object)?;
            // One moment of what another thread may be changing.
            let others = if ptr::eq(object, other) { own.clone() } else { shown(other)? };
            let nested = RecursionGuard::counted(c" in comparison")?;
            own.equal(&others, &mut ByEquality::within(nested))
        }))
    })
}

unsafe extern "C" fn get_native(object: RawObject, _: *mut c_void) -> RawObject {
    // SAFETY: the object is alive.
    unsafe { Owned::from_borrowed(object) }.into_ptr()
}

unsafe extern "C" fn get_bindings(object: RawObject, _: *mut c_void) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        Ok(py_heap::into_object(context::bindings(Owned::borrowed(&object))?).into_ptr())
    })
}

unsafe extern "C" fn wrap(_: RawObject, context: RawObject) -> RawObject {
    // SAFETY: the argument is alive, and exceptions live as long as the interpreter.
    catch_panic(|| unsafe {
        context::check_native(context)?;
        Ok(Owned::from_borrowed(context).into_ptr())
    })
}

unsafe extern "C" fn diff(object: RawObject, other: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe {
        if ffi::PyContext_CheckExact(other) == 0 {
            return Err(raise(ffi::PyExc_TypeError, context::DIFF_OF_WHAT, other));
        }
        let [old, new] = [object, other];
        diff_merge::diff_of(
            &context::bindings(Owned::borrowed(&old))?,
            &context::bindings(Owned::borrowed(&new))?,
        )
    })
}

/// A method of `contextvars.Context` in the table of the class, which is called with `flags`.
///
/// # Safety
///
/// `class` is a class with a table of methods.
unsafe fn method_of<'a>(
    class: *mut ffi::PyTypeObject,
    name: &CStr,
    flags: c_int,
) -> Option<&'a mut ffi::PyMethodDef> {
    // SAFETY: a row without a name ends the table, and the names end with a null byte.
    unsafe {
        let mut row = (*class).tp_methods;
        while !(*row).ml_name.is_null() {
            if CStr::from_ptr((*row).ml_name) == name {
                return ((*row).ml_flags == flags).then(|| &mut *row);
            }
            row = row.add(1);
        }
        None
    }
}

/// Has the special methods of `class` that called `old`, the function of a slot, call `new`.
///
/// # Safety
///
/// `class` is a class whose attributes can be looked up, and `new` has the type of `old`.
unsafe fn redirect(
    class: *mut ffi::PyTypeObject,
    names: &[&CStr],
    old: *mut c_void,
    new: *mut c_void,
) -> Result<(), ErrorSet> {
    for name in names {
        // SAFETY: the name ends with a null byte. A wrapper of a slot has this layout, and stays
        // alive: the class refers to it.
        unsafe {
            let wrapper = Owned::new(ffi::PyObject_GetAttrString(class.cast(), name.as_ptr()))?;
            let wrapper = wrapper.as_ptr().cast::<ffi::PyWrapperDescrObject>();
            let is_wrapper =
                ptr::eq(ffi::Py_TYPE(wrapper.cast()), &raw const ffi::PyWrapperDescr_Type);
            if is_wrapper && ptr::eq((*wrapper).d_wrapped, old) {
                (*wrapper).d_wrapped = new;
            }
        }
    }
    Ok(())
}

/// Adds to `class` what `ctxvars.Context` has beyond the standard library's.
///
/// # Safety
///
/// `class` is `contextvars.Context`.
unsafe fn add_attributes(class: *mut ffi::PyTypeObject) -> Result<(), ErrorSet> {
    // SAFETY: the rows live for ever; new references come back, or null with an exception.
    unsafe {
        #[cfg(Py_3_12)]
        let names = Owned::new(ffi::PyType_GetDict(class))?;
        #[cfg(not(Py_3_12))]
        let names = Owned::from_borrowed((*class).tp_dict);
        let add = |name: *const std::ffi::c_char, descriptor: RawObject| {
            let descriptor = Owned::new(descriptor)?;
            match ffi::PyDict_SetItemString(names.as_ptr(), name, descriptor.as_ptr()) {
                ..0 => Err(ErrorSet),
                _ => Ok(()),
            }
        };
        let mut row =
            context::attributes_beyond(get_bindings, get_native).cast::<ffi::PyGetSetDef>();
        while !(*row).name.is_null() {
            add((*row).name, ffi::PyDescr_NewGetSet(class, row))?;
            row = row.add(1);
        }
        let mut row =
            type_object::leaked(context::methods_beyond(wrap, diff)).cast::<ffi::PyMethodDef>();
        while !(*row).ml_name.is_null() {
            let is_of_class = (*row).ml_flags & ffi::METH_CLASS != 0;
            let new =
                if is_of_class { ffi::PyDescr_NewClassMethod } else { ffi::PyDescr_NewMethod };
            add((*row).ml_name, new(class, row))?;
            row = row.add(1);
        }
        ffi::PyType_Modified(class);
    }
    Ok(())
}

/// Replaces the functions of `contextvars.Context`, unless that is done already.
///
/// # Safety
///
/// Nothing else changes the class meanwhile.
unsafe fn extend() -> Result<(), ErrorSet> {
    if REPLACED.get().is_some() {
        return Ok(());
    }
    let class = &raw mut ffi::PyContext_Type;
    // SAFETY: the class of the interpreter is ready, so it has a table of methods. The tables that
    // it refers to are not constant, or CPython could not fill in what they inherit. A function
    // that is called with these flags has the type that is written to, and read from, the row.
    unsafe {
        let (mapping, sequence) = ((*class).tp_as_mapping, (*class).tp_as_sequence);
        let row = |name, flags| method_of(class, name, flags);
        let unknown = || {
            let message = c"contextvars.Context is not made as in the known versions of CPython";
            raise_message(ffi::PyExc_SystemError, message)
        };
        let (Some(mapping), Some(sequence)) = (mapping.as_mut(), sequence.as_mut()) else {
            return Err(unknown());
        };
        let (Some(get_row), Some(keys_row), Some(values_row), Some(items_row)) = (
            row(c"get", ffi::METH_FASTCALL),
            row(c"keys", ffi::METH_NOARGS),
            row(c"values", ffi::METH_NOARGS),
            row(c"items", ffi::METH_NOARGS),
        ) else {
            return Err(unknown());
        };
        let (
            Some(old_compare),
            Some(old_iter),
            Some(old_len),
            Some(old_subscript),
            Some(old_contains),
        ) = (
            (*class).tp_richcompare,
            (*class).tp_iter,
            mapping.mp_length,
            mapping.mp_subscript,
            sequence.sq_contains,
        )
        else {
            return Err(unknown());
        };
        add_attributes(class)?;
        // From here on nothing fails but for want of memory, and only special methods that are
        // called by name would then be as before.
        let comparisons = [c"__lt__", c"__le__", c"__eq__", c"__ne__", c"__gt__", c"__ge__"];
        let slots: [(&[&CStr], *mut c_void, *mut c_void); 5] = [
            (&comparisons, old_compare as *mut c_void, compare as *mut c_void),
            (&[c"__iter__"], old_iter as *mut c_void, iter as *mut c_void),
            (&[c"__len__"], old_len as *mut c_void, len as *mut c_void),
            (&[c"__getitem__"], old_subscript as *mut c_void, subscript as *mut c_void),
            (&[c"__contains__"], old_contains as *mut c_void, contains as *mut c_void),
        ];
        let _ = REPLACED.set(Replaced {
            compare: old_compare,
            iter: old_iter,
            len: old_len,
            subscript: old_subscript,
            contains: old_contains,
            get: get_row.ml_meth.PyCFunctionFast,
            keys: keys_row.ml_meth.PyCFunction,
            values: values_row.ml_meth.PyCFunction,
            items: items_row.ml_meth.PyCFunction,
        });
        (*class).tp_richcompare = Some(compare);
        (*class).tp_iter = Some(iter);
        mapping.mp_length = Some(len);
        mapping.mp_subscript = Some(subscript);
        sequence.sq_contains = Some(contains);
        get_row.ml_meth.PyCFunctionFast = get;
        keys_row.ml_meth.PyCFunction = keys;
        values_row.ml_meth.PyCFunction = values;
        items_row.ml_meth.PyCFunction = items;
        for (names, old, new) in slots {
            redirect(class, names, old, new)?;
        }
    }
    Ok(())
}

unsafe extern "C" fn extend_native_contexts(_: RawObject, _: RawObject) -> RawObject {
    // SAFETY: the interpreter's lock is held, so nothing else changes the class. A free-threaded
    // build has no lock; there, the documentation asks for the call at the start of the program.
    catch_panic(|| unsafe {
        extend()?;
        Ok(Owned::from_borrowed(ffi::Py_None()).into_ptr())
    })
}

/// The function `extend_native_contexts`.
pub(crate) fn extend_function(module: RawObject) -> Result<Owned, ErrorSet> {
    let call = ffi::PyMethodDefPointer { PyCFunction: extend_native_contexts };
    let doc = c"extend_native_contexts($module, /)\n--\n\n\
        Make contextvars.Context show each variable of ctxvars beside native ones.\n\n\
        It also gets the methods and attributes that ctxvars.Context has beyond it. This holds for\n\
        all contexts of the process, and cannot be undone; to call it again changes nothing. Call\n\
        it at the start of a program, before other threads use contexts. O(1).\n\
        Raise SystemError, and change nothing, if the interpreter makes contexts in an unknown way.";
    type_object::function(
        module,
        type_object::method(c"extend_native_contexts", call, ffi::METH_NOARGS, doc),
    )
}
