//! Objects whose type is known, and the fields of instances.

#![allow(unsafe_code)] // Allocates, reads and frees instances.

use super::memory::{gc, trashcan};
use super::{ErrorSet, FreeList, Owned, RawObject, TypeHandle, ffi};
use std::ffi::{c_int, c_void};
use std::ops::Deref;
use std::ptr;

/// A reference to an object of one type of the module, or of a few types with one layout.
///
/// # Safety
///
/// `Self` is `repr(transparent)` over `Owned`, and has no constructors but those of this trait.
/// [`typed_object!`] makes such types.
pub(crate) unsafe trait TypedObject: Deref<Target = Owned> + Sized + 'static {
    /// Whether an object is an instance, of a subclass too if the type can have subclasses.
    fn is_instance(object: &Owned) -> bool;

    /// The object as an instance, whose type is not checked.
    ///
    /// # Safety
    ///
    /// [`is_instance`](Self::is_instance) is true of the object.
    #[inline(always)]
    unsafe fn unchecked(object: &Owned) -> &Self {
        // SAFETY: `Self` is transparent over `Owned`, by the contract of the trait.
        unsafe { &*ptr::from_ref(object).cast() }
    }

    /// The object as an instance, `None` if it is not one.
    #[inline(always)]
    fn of(object: &Owned) -> Option<&Self> {
        // SAFETY: the type has been checked.
        Self::is_instance(object).then(|| unsafe { Self::unchecked(object) })
    }

    /// As [`unchecked`](Self::unchecked), with the reference.
    ///
    /// # Safety
    ///
    /// [`is_instance`](Self::is_instance) is true of the object.
    #[inline(always)]
    unsafe fn from_owned_unchecked(object: Owned) -> Self {
        // SAFETY: `Self` is transparent over `Owned`, whose reference it takes over.
        unsafe { ptr::read(Self::unchecked(&std::mem::ManuallyDrop::new(object))) }
    }

    /// Another reference to the object.
    #[inline(always)]
    fn clone_reference(&self) -> Self {
        // SAFETY: the object is an instance, since `self` is a reference to it.
        unsafe { Self::from_owned_unchecked((**self).clone()) }
    }

    #[inline(always)]
    fn into_owned(self) -> Owned {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `Self` is transparent over `Owned`, and is not dropped.
        unsafe { ptr::read(&raw const **this) }
    }
}

/// A [`TypedObject`] for the instances of one type, or of a type `and_subclasses`.
macro_rules! typed_object {
    ($(#[$doc:meta])* $name:ident: $($handle:ident)|+) => {
        $crate::python::interpreter::typed_object! {
            @made_for [$(#[$doc])*] $name,
            object => $($crate::python::interpreter::types::$handle.is_type_of(object))||+
        }
    };
    ($(#[$doc:meta])* $name:ident: $handle:ident and_subclasses) => {
        $crate::python::interpreter::typed_object! {
            @made_for [$(#[$doc])*] $name,
            object => $crate::python::interpreter::types::$handle.is_base_of(object)
        }
    };
    (@made_for [$(#[$doc:meta])*] $name:ident, $object:ident => $is_instance:expr) => {
        $(#[$doc])*
        #[repr(transparent)]
        pub(crate) struct $name($crate::python::interpreter::Owned);

        // The type is transparent over `Owned`, and its field is private to its file, which makes
        // no values of it but through the trait. (The lint looks for this comment where the macro
        // is used.)
        #[allow(unsafe_code)] // Implements the trait, whose contract the macro keeps.
        #[allow(clippy::undocumented_unsafe_blocks)]
        unsafe impl $crate::python::interpreter::TypedObject for $name {
            #[inline(always)]
            fn is_instance($object: &$crate::python::interpreter::Owned) -> bool {
                $is_instance
            }
        }

        impl std::ops::Deref for $name {
            type Target = $crate::python::interpreter::Owned;

            #[inline(always)]
            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }
    };
}
pub(crate) use typed_object;

/// The memory of an instance: the head of every object, and the fields of the type.
#[repr(C)]
pub(crate) struct Instance<F> {
    object: ffi::PyObject,
    pub(crate) fields: F,
}

/// A type whose instances are an [`Instance`] of its fields.
///
/// # Safety
///
/// All instances were made by [`create`], and so have initialised fields. `WEAK_REFERENCES` is the
/// offset of a pointer in [`Instance`] that starts as null and belongs to CPython.
pub(crate) unsafe trait HasFields: TypedObject {
    type Fields: 'static;

    /// Where an instance keeps its list of weak references.
    const WEAK_REFERENCES: Option<usize> = None;

    /// Whether instances may hold one another in nests of any depth.
    const IS_NESTED: bool = true;

    /// The objects that the garbage collector reaches through the fields.
    fn references(fields: &Self::Fields) -> [Option<RawObject>; 4];

    /// The free list for instances of one of the types, if it has one.
    #[inline(always)]
    fn free_list(_: *mut ffi::PyTypeObject) -> Option<&'static FreeList<8>> {
        None
    }

    #[inline(always)]
    fn fields(&self) -> &Self::Fields {
        // SAFETY: an instance has initialised fields behind its head, by the contract of the trait.
        // The reference keeps the instance alive. All changes of fields go through cells.
        unsafe { &(*self.as_ptr().cast::<Instance<Self::Fields>>()).fields }
    }
}

/// Makes an instance, which the garbage collector tracks if `is_tracked`.
#[inline(always)]
pub(crate) fn create<T: HasFields>(
    handle: &TypeHandle,
    fields: T::Fields,
    is_tracked: bool,
) -> Result<T, ErrorSet> {
    let class = handle.as_ptr();
    // SAFETY: the type was made for instances of this size. A block of the free list is memory of
    // such an instance. The fields are written before other code can see the object.
    unsafe {
        let kept = T::free_list(class).and_then(|list| list.take());
        let object = kept.unwrap_or_else(|| ffi::PyObject_GC_New(class));
        let object = Owned::new(object)?;
        let memory = object.as_ptr().cast::<Instance<T::Fields>>();
        (&raw mut (*memory).fields).write(fields);
        if is_tracked {
            ffi::PyObject_GC_Track(memory.cast());
        }
        Ok(T::from_owned_unchecked(object))
    }
}

/// The `tp_traverse` of a type with fields.
pub(super) unsafe extern "C" fn traverse<T: HasFields>(
    object: RawObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: the collector visits instances that it tracks, and `gc.get_referents` instances that
    // other code holds. `create` has written the fields of both.
    unsafe {
        let this = T::unchecked(Owned::borrowed(&object));
        gc::traverse(object, &T::references(this.fields()), visit, arg)
    }
}

/// The `tp_dealloc` of a type with fields.
pub(super) unsafe extern "C" fn dealloc<T: HasFields>(object: RawObject) {
    // SAFETY: CPython calls this once, when the last reference to an instance is gone. The fields
    // are initialised, and are not used after they are dropped.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        if let Some(offset) = T::WEAK_REFERENCES {
            gc::clear_weak_references(object, object.byte_add(offset).cast::<RawObject>().read());
        }
        let drop_and_free = || {
            let class = ffi::Py_TYPE(object);
            ptr::drop_in_place(&raw mut (*object.cast::<Instance<T::Fields>>()).fields);
            match T::free_list(class) {
                Some(list) => list.give(object),
                None => gc::free(object),
            }
        };
        if T::IS_NESTED { trashcan::bounded(object, drop_and_free) } else { drop_and_free() }
    }
}
