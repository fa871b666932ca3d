//! `extend_native_contexts`, which makes the interpreter's own contexts show our variables.
//!
//! A program that does not import ctxvars passes contexts to C code (tasks, uvloop, greenlet),
//! which enters only native contexts, and gets native contexts from it (`Task.get_context`). So
//! under `python -m ctxvars run` there are no facades: `contextvars.Context` stays the type of the
//! interpreter. By itself, that type shows all of our variables as one, the root. This file
//! replaces functions in its slots and in its method table, if a program asks for it:
//!
//! | operation | result from |
//! | --- | --- |
//! | `[]`, `in` and `get`, with a variable of ours | the bindings |
//! | `[]`, `in` and `get`, with any other key | the function of CPython |
//! | `len`, `==`, iteration | a map of both kinds of variables |
//!
//! `run`, `copy`, and the C API of contexts stay unchanged, and cost what they did. Other
//! interpreters of the process share the type, but none of our objects. In them, the functions of
//! CPython are called.
//!
//! The functions below are in the slots and rows of `contextvars.Context`. So CPython calls them
//! with a live instance, and with arguments of the number and kind of the replaced function.

#![allow(unsafe_code)] // Replaces functions in the tables of a class of the interpreter.

use super::context::{HasNative, getters_beyond, methods_beyond, value_of};
use super::variable::default_factory;
use super::{native, root_variable};
use crate::map::Trie;
use crate::python::interpreter::ffi::CallSlot as _;
use crate::python::interpreter::free_threading::with_all_context_locks;
use crate::python::interpreter::{
    ErrorSet, Exception, Owned, RawObject, RecursionGuard, TypedObject, catch_panic, checked,
    eq_or_ne, ffi, get_or_default, main_interpreter, module_function_without_arguments,
    raise_message, raise_value, type_object, types,
};
use crate::python::map::entries::{Entries, each_pair};
use crate::python::map::iterator::{self, EntryPart};
use crate::python::map::key::{ByEquality, ByIdentity};
use crate::python::map::py_heap::PyHeap;
use std::ffi::{CStr, c_int, c_void};
use std::ops::Deref;
use std::ptr;
use std::sync::OnceLock;

/// A `contextvars.Context`.
#[repr(transparent)]
pub(crate) struct NativeContext(Owned);

// SAFETY: the type is transparent over `Owned`, and makes no values but through the trait.
unsafe impl TypedObject for NativeContext {
    fn is_instance(object: &Owned) -> bool {
        native::is_native_context(object)
    }
}

impl Deref for NativeContext {
    type Target = Owned;

    fn deref(&self) -> &Owned {
        &self.0
    }
}

impl HasNative for NativeContext {
    fn native(&self) -> &Owned {
        &self.0
    }

    fn native_to_read(&self) -> &Owned {
        &self.0
    }
}

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

/// The replaced functions. Before anything is replaced, no function below is called.
fn replaced() -> Result<&'static Replaced, ErrorSet> {
    let message = c"contexts have not been extended";
    REPLACED.get().ok_or_else(|| raise_message(Exception::SystemError, message))
}

/// The functions of CPython, if this is another interpreter.
fn replaced_elsewhere() -> Result<Option<&'static Replaced>, ErrorSet> {
    let replaced = replaced()?;
    Ok((!main_interpreter::is_main()).then_some(replaced))
}

/// The variables that a native context shows: ours, and native ones except for those in which this
/// module keeps its state. O(n) in the number of native variables.
fn shown(context: &Owned) -> Result<Trie<PyHeap>, ErrorSet> {
    let (mut ours, mut others) = (Trie::new(), Entries::default());
    let items = replaced()?.items;
    // SAFETY: the function of CPython gets a native context and no arguments. Its iterator is over
    // one moment of the context, with one value of the root.
    let items = with_all_context_locks(|| unsafe {
        Owned::new(items.call_slot((context.as_ptr(), ptr::null_mut())))
    })?;
    each_pair(&items, c"context", |variable, value| {
        if variable.is(root_variable::variable()) {
            ours = Trie::from_root(root_variable::checked(value)?.share().into_root());
        } else if !default_factory::is_cached_default(&value) {
            others.push(variable, value)?;
        }
        Ok(())
    })?;
    // The keys are variables, which are compared by identity.
    others.added_to(&ours, &mut ByIdentity)
}

/// An iterator over all native variables of a native context, including the root, whether contexts
/// have been extended or not.
pub(crate) fn variables(context: &Owned) -> Result<Owned, ErrorSet> {
    match REPLACED.get() {
        // SAFETY: the function of CPython gets a native context.
        Some(replaced) => unsafe { Owned::new(replaced.iter.call_slot((context.as_ptr(),))) },
        None => context.iterator(),
    }
}

/// The number of native variables that have a value in a native context, including the root.
pub(crate) fn size(context: &Owned) -> Result<usize, ErrorSet> {
    match REPLACED.get() {
        // SAFETY: the function of CPython gets a native context.
        Some(replaced) => unsafe {
            Ok(checked(replaced.len.call_slot((context.as_ptr(),)))? as usize)
        },
        None => context.length(),
    }
}

unsafe extern "C" fn subscript(object: RawObject, key: RawObject) -> RawObject {
    // SAFETY: `mp_subscript` of a native context gets one, and a live key; so does the function of
    // CPython.
    catch_panic(|| unsafe {
        let (context, own_key) = (Owned::borrowed(&object), Owned::borrowed(&key));
        if !types::CONTEXT_VAR.is_type_of(own_key) {
            return Ok(replaced()?.subscript.call_slot((object, key)));
        }
        match value_of(context, own_key)? {
            Some(value) => Ok(value.into_ptr()),
            None => Err(raise_value(Exception::KeyError, own_key)),
        }
    })
}

unsafe extern "C" fn contains(object: RawObject, key: RawObject) -> c_int {
    // SAFETY: `sq_contains` of a native context gets one, and a live key; so does the function of
    // CPython.
    catch_panic(|| unsafe {
        let (context, own_key) = (Owned::borrowed(&object), Owned::borrowed(&key));
        if !types::CONTEXT_VAR.is_type_of(own_key) {
            return Ok(replaced()?.contains.call_slot((object, key)));
        }
        Ok(value_of(context, own_key)?.is_some().into())
    })
}

unsafe extern "C" fn get(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: the method `get` of a native context gets one, and `count` live arguments; so does
    // the function of CPython.
    catch_panic(|| unsafe {
        let own_arguments = Owned::borrowed_array(arguments, count as usize);
        match own_arguments.first() {
            Some(key) if types::CONTEXT_VAR.is_type_of(key) => {
                let context = Owned::borrowed(&object);
                get_or_default(own_arguments, |key| value_of(context, key)).map(Owned::into_ptr)
            }
            _ => Ok(replaced()?.get.call_slot((object, arguments, count))),
        }
    })
}

unsafe extern "C" fn len(object: RawObject) -> ffi::Py_ssize_t {
    // SAFETY: `mp_length` of a native context gets one; so does the function of CPython.
    catch_panic(|| unsafe {
        match replaced_elsewhere()? {
            Some(replaced) => Ok(replaced.len.call_slot((object,))),
            None => Ok(shown(Owned::borrowed(&object))?.len() as ffi::Py_ssize_t),
        }
    })
}

unsafe extern "C" fn iter(object: RawObject) -> RawObject {
    // SAFETY: `tp_iter` of a native context gets one; so does the function of CPython.
    catch_panic(|| unsafe {
        match replaced_elsewhere()? {
            Some(replaced) => Ok(replaced.iter.call_slot((object,))),
            None => iterate(object, EntryPart::Key),
        }
    })
}

/// # Safety
///
/// `object` is a live native context.
unsafe fn iterate(object: RawObject, part: EntryPart) -> Result<RawObject, ErrorSet> {
    // SAFETY: the object is alive.
    let entries = shown(unsafe { Owned::borrowed(&object) })?;
    iterator::over(entries, part).map(Owned::into_ptr)
}

unsafe extern "C" fn keys(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: the method `keys` of a native context gets one; so does the function of CPython.
    catch_panic(|| unsafe {
        match replaced_elsewhere()? {
            Some(replaced) => Ok(replaced.keys.call_slot((object, ptr::null_mut()))),
            None => iterate(object, EntryPart::Key),
        }
    })
}

unsafe extern "C" fn values(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: the method `values` of a native context gets one; so does the function of CPython.
    catch_panic(|| unsafe {
        match replaced_elsewhere()? {
            Some(replaced) => Ok(replaced.values.call_slot((object, ptr::null_mut()))),
            None => iterate(object, EntryPart::Value),
        }
    })
}

unsafe extern "C" fn items(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: the method `items` of a native context gets one; so does the function of CPython.
    catch_panic(|| unsafe {
        match replaced_elsewhere()? {
            Some(replaced) => Ok(replaced.items.call_slot((object, ptr::null_mut()))),
            None => iterate(object, EntryPart::Item),
        }
    })
}

unsafe extern "C" fn compare(object: RawObject, other: RawObject, operator: c_int) -> RawObject {
    // SAFETY: `tp_richcompare` gets two live objects; so does the function of CPython.
    catch_panic(|| unsafe {
        if let Some(replaced) = replaced_elsewhere()? {
            return Ok(replaced.compare.call_slot((object, other, operator)));
        }
        let (own, others) = (Owned::borrowed(&object), Owned::borrowed(&other));
        let are_contexts = native::is_native_context(own) && native::is_native_context(others);
        let result = eq_or_ne(operator, are_contexts, || {
            let own_entries = shown(own)?;
            // Another thread may be changing the context, so it is read once.
            let other_entries = if own.is(others) { own_entries.clone() } else { shown(others)? };
            let nested = RecursionGuard::counted(c" in comparison")?;
            own_entries.equal(&other_entries, &mut ByEquality::within(nested))
        });
        result.map(Owned::into_ptr)
    })
}

/// `Context.wrap` of extended native contexts.
fn wrap(context: &Owned) -> Result<Owned, ErrorSet> {
    native::check_native(context)?;
    Ok(context.clone())
}

/// Makes the special methods of `class` that called `old`, the function of a slot, call `new`.
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
        // SAFETY: the name ends with a null byte. An object of the type `PyWrapperDescr_Type` is a
        // `PyWrapperDescrObject`, and stays alive, since the class refers to it.
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

/// Adds the methods and attributes to `class` that `ctxvars.Context` has in addition.
///
/// # Safety
///
/// `class` is `contextvars.Context`.
unsafe fn add_attributes(class: *mut ffi::PyTypeObject) -> Result<(), ErrorSet> {
    // SAFETY: the class is ready, so it has a dict. The rows are leaked, so they outlive the
    // descriptors, and work on native contexts, the instances of the class. The functions return
    // new references, or null with an exception set.
    unsafe {
        #[cfg(Py_3_12)]
        let names = Owned::new(ffi::PyType_GetDict(class))?;
        #[cfg(not(Py_3_12))]
        let names = Owned::from_borrowed((*class).tp_dict);
        let add = |name: *const std::ffi::c_char, descriptor: RawObject| {
            let descriptor = Owned::new(descriptor)?;
            checked(ffi::PyDict_SetItemString(names.as_ptr(), name, descriptor.as_ptr()))
        };
        for getter in getters_beyond::<NativeContext>() {
            let row: *mut ffi::PyGetSetDef = type_object::leaked(vec![getter.row()]).cast();
            add((*row).name, ffi::PyDescr_NewGetSet(class, row))?;
        }
        for method in methods_beyond::<NativeContext>(wrap) {
            let row: *mut ffi::PyMethodDef = type_object::leaked(vec![method.row()]).cast();
            let is_of_class = (*row).ml_flags & ffi::METH_CLASS != 0;
            let new =
                if is_of_class { ffi::PyDescr_NewClassMethod } else { ffi::PyDescr_NewMethod };
            add((*row).ml_name, new(class, row))?;
        }
        ffi::PyType_Modified(class);
    }
    Ok(())
}

/// Replaces the functions of `contextvars.Context`, unless they are replaced already.
///
/// # Safety
///
/// No other code changes the class meanwhile.
unsafe fn extend() -> Result<(), ErrorSet> {
    if REPLACED.get().is_some() {
        return Ok(());
    }
    let class = &raw mut ffi::PyContext_Type;
    // SAFETY: the type is ready, so it has a table of methods. Its tables are writable: CPython
    // itself writes inherited functions to them. The flags of a row say which member of the union
    // it uses, which is read and written here.
    unsafe {
        let (mapping, sequence) = ((*class).tp_as_mapping, (*class).tp_as_sequence);
        let row = |name, flags| type_object::method_row(class, name, flags);
        let unknown = || {
            let message = c"contextvars.Context is not made as in the known versions of CPython";
            raise_message(Exception::SystemError, message)
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
        // From here on, only a lack of memory can fail. Then only special methods that are called
        // by name stay as they were.
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

fn extend_native_contexts() -> Result<Owned, ErrorSet> {
    // SAFETY: the thread holds the GIL, so no other code changes the type. For free-threaded
    // builds, the documentation asks for the call at the start of the program, before there are
    // other threads.
    unsafe { extend()? };
    Ok(Owned::none())
}

/// The function `extend_native_contexts`.
pub(crate) fn extend_function(module: &Owned) -> Result<Owned, ErrorSet> {
    let doc = c"extend_native_contexts($module, /)\n--\n\n\
        Make contextvars.Context show each variable of ctxvars beside native ones.\n\n\
        It also gets the additional methods and attributes of ctxvars.Context. This affects all\n\
        contexts of the process, and cannot be undone. Another call changes nothing. Call it at the\n\
        start of a program, before other threads use contexts. O(1).\n\
        Raise SystemError, and change nothing, if the interpreter makes contexts in an unknown way.";
    let extend = extend_native_contexts;
    let row = module_function_without_arguments(c"extend_native_contexts", extend, doc);
    type_object::function(module, row)
}
