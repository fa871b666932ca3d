//! The constructor of `ContextVar`.

#![allow(unsafe_code)] // Parses arguments by the C API, and completes a new object.

use super::{ContextVar, Default, VariableObject};
use crate::context::Version;
use crate::map::Hash;
use crate::python::interpreter::{
    ErrorSet, Exception, HasFields as _, Owned, RawObject, TypedObject as _, create, ffi, name,
    raise_message, types,
};
use crate::python::map::py_heap;
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::AtomicUsize;

pub(super) fn new(arguments: &Owned, keywords: Option<&Owned>) -> Result<Owned, ErrorSet> {
    let [mut name, mut default, mut factory, mut weak]: [RawObject; 4] = [ptr::null_mut(); 4];
    // Without a keyword that the standard library does not have, its messages appear.
    let has_more = match keywords {
        Some(keywords) => {
            keywords.contains(name!("default_factory"))? || keywords.contains(name!("weak"))?
        }
        None => false,
    };
    let (format, more) = if has_more {
        (c"O|$OOO:ContextVar", [c"default_factory".as_ptr(), c"weak".as_ptr()])
    } else {
        (c"O|$O:ContextVar", [ptr::null(); 2])
    };
    let names = [c"".as_ptr(), c"default".as_ptr(), more[0], more[1], ptr::null()];
    // SAFETY: the arguments are a tuple, and a dict or null. For each `O` of the format there is a
    // name, before the null pointer, and a variable, which receives a borrowed reference. The tuple
    // and the dict keep these objects alive.
    let (name, default, factory, weak) = unsafe {
        let parsed = ffi::calling!(PyArg_ParseTupleAndKeywords(
            arguments.as_ptr(),
            keywords.map_or(ptr::null_mut(), Owned::as_ptr),
            format.as_ptr(),
            names.as_ptr().cast_mut().cast(),
            &raw mut name,
            &raw mut default,
            &raw mut factory,
            &raw mut weak,
        ));
        if parsed == 0 {
            return Err(ErrorSet);
        }
        (
            Owned::borrowed(&name).clone(),
            Owned::borrowed_or_null(&default).cloned(),
            Owned::borrowed_or_null(&factory).cloned(),
            Owned::borrowed_or_null(&weak).cloned(),
        )
    };
    if !name.is_text() {
        let message = c"context variable name must be a str";
        return Err(raise_message(Exception::TypeError, message));
    }
    // The `__hash__` of a subclass of `str` may raise.
    let name_hash = name.hash()?;
    let is_weak = weak.map_or(Ok(false), |weak| weak.is_true())?;
    if is_weak && factory.is_some() {
        let message = c"cannot specify both weak and default_factory: the default would be kept";
        return Err(raise_message(Exception::ValueError, message));
    }
    let default = Default::of(default.as_ref(), factory.as_ref())?;
    let is_tracked = py_heap::may_be_tracked(&name) || default.is_traceable();
    let fields = ContextVar {
        name,
        default,
        is_weak,
        hash: 0,
        mixed: Hash::mix(0),
        // No bindings have the unused version as their shape.
        shape: Cell::new(Version::UNUSED),
        place: Cell::new(ptr::null()),
        hint: AtomicUsize::new(0),
    };
    let variable = create::<VariableObject>(&types::CONTEXT_VAR, fields, false)?;
    // Variables with the same name have different addresses. Their lowest bits are always zero.
    let address = variable.as_ptr().addr().rotate_right(4) as ffi::Py_hash_t;
    let hash = match address ^ name_hash {
        -1 => -2,
        hash => hash,
    };
    variable.finish(hash, is_tracked);
    Ok(variable.into_owned())
}

impl VariableObject {
    /// Completes a new variable with the hash, which depends on its address.
    fn finish(&self, hash: ffi::Py_hash_t, is_tracked: bool) {
        let fields = ptr::from_ref(self.fields()).cast_mut();
        // SAFETY: no other code has seen the variable, and no reference to these two fields exists.
        // The variable is complete now, and not tracked yet.
        unsafe {
            (*fields).hash = hash;
            (*fields).mixed = Hash::mix(hash as u64);
            if is_tracked {
                ffi::PyObject_GC_Track(self.as_ptr().cast());
            }
        }
    }
}
