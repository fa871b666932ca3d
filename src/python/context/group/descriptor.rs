//! `VariableDescriptor`, through which a class attribute reads as the current value of a variable,
//! and `set_class_dict`, which replaces the `__dict__` that `vars()` of such a class shows.

#![allow(unsafe_code)] // Adds a descriptor to a type in the way in which CPython does.

use crate::python::context::variable::VariableObject;
use crate::python::interpreter::error::{clear_exception, raise_value_as};
use crate::python::interpreter::{
    ErrorSet, Exception, HasFields, Owned, RawObject, Slot, TypeSpec, TypedObject as _,
    catch_panic, checked, create, exactly, ffi, member, module_function, raise, type_object,
    typed_object, types,
};
use std::ffi::{CStr, c_void};
use std::ptr;

typed_object! {
    /// A `VariableDescriptor`.
    DescriptorObject: VARIABLE_DESCRIPTOR
}

/// The fields of a descriptor.
pub(crate) struct VariableDescriptor {
    variable: VariableObject,
    /// The exception to raise if the variable has neither a value nor a default.
    unset_error: Owned,
}

// SAFETY: `new` makes all descriptors, by `create`. They have no list of weak references.
unsafe impl HasFields for DescriptorObject {
    type Fields = VariableDescriptor;

    fn references(fields: &VariableDescriptor) -> [Option<RawObject>; 4] {
        [Some(fields.variable.as_ptr()), Some(fields.unset_error.as_ptr()), None, None]
    }
}

impl DescriptorObject {
    /// The current value of the variable, if there is one and the variable remembers its place.
    #[inline(always)]
    pub(crate) fn cached_value(&self) -> Option<Owned> {
        self.fields().variable.cached_value().flatten()
    }
}

/// The result of `ContextVar.get()`, for the class and for its instances. The hit of the cache comes
/// first, as in `ContextVar.get`: it can neither fail nor panic, and needs no guard.
pub(crate) unsafe extern "C" fn get(
    descriptor: RawObject,
    _: RawObject,
    _: RawObject,
) -> RawObject {
    // SAFETY: this is the slot of the type of descriptors, so CPython passes a descriptor, which
    // the reader of the attribute keeps alive.
    let this = unsafe { DescriptorObject::unchecked(Owned::borrowed(&descriptor)).fields() };
    match this.variable.cached_value() {
        Some(Some(value)) => value.into_ptr(),
        Some(None) => returned(this, || this.variable.default_or(None)),
        None => returned(this, || this.variable.get_slowly(&[])),
    }
}

#[inline(never)]
fn returned(
    this: &VariableDescriptor,
    value: impl FnOnce() -> Result<Owned, ErrorSet>,
) -> RawObject {
    catch_panic(|| {
        let value = value();
        if value.is_err() {
            replace_lookup_error(this);
        }
        value.map(Owned::into_ptr)
    })
}

/// Replaces the `LookupError` of a variable without a value by the error of the descriptor.
///
/// An error of a default factory stays, whatever its type: it must not make the attribute look
/// missing.
#[cold]
fn replace_lookup_error(this: &VariableDescriptor) {
    if !this.variable.has_default() && Exception::LookupError.is_set() {
        clear_exception();
        raise_value_as(&this.unset_error, &this.variable);
    }
}

fn new(arguments: &Owned, keywords: Option<&Owned>) -> Result<Owned, ErrorSet> {
    let [mut variable, mut unset_error]: [RawObject; 2] = [ptr::null_mut(); 2];
    let names = [c"".as_ptr(), c"".as_ptr(), ptr::null()];
    // SAFETY: the arguments are a tuple, and a dict or null. For each `O` of the format there is a
    // name, before the null pointer, and a variable, which receives a borrowed reference to an
    // argument.
    let (variable, unset_error) = unsafe {
        let parsed = ffi::calling!(PyArg_ParseTupleAndKeywords(
            arguments.as_ptr(),
            keywords.map_or(ptr::null_mut(), Owned::as_ptr),
            c"OO:VariableDescriptor".as_ptr(),
            names.as_ptr().cast_mut().cast(),
            &raw mut variable,
            &raw mut unset_error,
        ));
        if parsed == 0 {
            return Err(ErrorSet);
        }
        (Owned::borrowed(&variable).clone(), Owned::borrowed(&unset_error).clone())
    };
    let Some(variable) = VariableObject::of(&variable) else {
        let message = c"VariableDescriptor() argument must be a ContextVar, got %R";
        return Err(raise(Exception::TypeError, message, &variable));
    };
    if !unset_error.is_exception_type() {
        let message = c"VariableDescriptor() argument must be an exception class, got %R";
        return Err(raise(Exception::TypeError, message, &unset_error));
    }
    let fields = VariableDescriptor { variable: variable.clone_reference(), unset_error };
    create::<DescriptorObject>(&types::VARIABLE_DESCRIPTOR, fields, true)
        .map(DescriptorObject::into_owned)
}

/// The `__dict__` of a class whose metaclass `set_class_dict` has changed.
unsafe extern "C" fn class_dict(class: RawObject, function: *mut c_void) -> RawObject {
    // SAFETY: CPython passes a class and the closure of the getter, to which `set_class_dict` has
    // given a reference to a function that is never dropped.
    unsafe { ffi::PyObject_CallOneArg(function.cast(), class) }
}

/// `set_class_dict(metaclass, function, /)`
///
/// A property of the metaclass would suffice for `vars()`. But `inspect.getattr_static` finds
/// nothing in a class whose `__dict__` is not a getter like those that CPython makes.
fn set_class_dict(arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [metaclass, function] = exactly(c"set_class_dict", arguments)?;
    let class: *mut ffi::PyTypeObject = metaclass.as_ptr().cast();
    // SAFETY: the object is a type where it is used as one.
    let is_metaclass = unsafe {
        ffi::PyType_Check(metaclass.as_ptr()) != 0
            && ffi::PyType_IsSubtype(class, &raw mut ffi::PyType_Type) != 0
            && ffi::PyType_HasFeature(class, ffi::Py_TPFLAGS_IMMUTABLETYPE) == 0
    };
    if !is_metaclass {
        let message = c"set_class_dict() argument must be a metaclass, got %R";
        return Err(raise(Exception::TypeError, message, metaclass));
    }
    let row = ffi::PyGetSetDef {
        name: c"__dict__".as_ptr(),
        get: Some(class_dict),
        set: None,
        doc: ptr::null(),
        closure: function.clone().into_ptr().cast(),
    };
    // SAFETY: `metaclass` is a type that is not immutable, so it has a dict, and the row is never
    // freed.
    unsafe {
        let row = type_object::leaked(vec![row]).cast();
        let getter = Owned::new(ffi::PyDescr_NewGetSet(class, row))?;
        // `type` itself has a `__dict__` that cannot be assigned to, so the dict is changed
        // directly.
        let name = c"__dict__".as_ptr();
        checked(ffi::PyDict_SetItemString((*class).tp_dict, name, getter.as_ptr()))?;
        ffi::PyType_Modified(class);
    }
    Ok(Owned::none())
}

/// The function `set_class_dict`, which is not public.
pub(crate) fn set_class_dict_function(module: &Owned) -> Result<Owned, ErrorSet> {
    let doc = c"set_class_dict($module, metaclass, function, /)\n--\n\n\
        Make function(class) the __dict__ of the classes that a metaclass makes.\n\n\
        Raise TypeError unless the first argument is a metaclass.";
    type_object::function(module, module_function(c"set_class_dict", set_class_dict, doc))
}

const DOC: &CStr = c"VariableDescriptor(variable, unset_error, /)\n--\n\n\
    A descriptor: in a class, it reads as the current value of the variable.\n\n\
    It can be read from the class and from its instances. If the variable has neither a value nor a\n\
    default, it raises unset_error(variable). O(1) as ContextVar.get().\n\n\
    >>> import ctxvars\n\
    >>> from ctxvars._core import VariableDescriptor\n\
    >>> level = ctxvars.ContextVar('level', default=0)\n\
    >>> class Settings:\n\
    ...     level = VariableDescriptor(level, LookupError)\n\
    >>> with level.scope(1):\n\
    ...     Settings.level\n\
    1";

pub(crate) fn init() -> Result<(), ErrorSet> {
    types::VARIABLE_DESCRIPTOR.make_with_fields::<DescriptorObject>(TypeSpec {
        name: c"ctxvars._core.VariableDescriptor",
        doc: Some(DOC),
        slots: vec![
            Slot::new(new),
            // SAFETY: the function takes what the slot gets, and descriptors only.
            unsafe { Slot::raw(ffi::Py_tp_descr_get, get as *mut c_void) },
        ],
        members: vec![member!(
            VariableDescriptor,
            variable,
            c"variable",
            c"The variable whose value the attribute shows."
        )],
        ..TypeSpec::default()
    })
}
