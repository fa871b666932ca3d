//! `GroupMetaBase`, the base of the metaclass of groups: reading a field from its class.
//!
//! `type.__getattribute__` looks for a name in the metaclass and in the class, and then calls the
//! descriptor that it has found. That takes longer than `ContextVar.get`. A cache remembers the names
//! that are fields of a class, so that their values are read at once.
//!
//! # When an entry of the cache is right
//!
//! CPython gives a class a *version tag*, a number that no other class gets. It takes the tag away
//! before an attribute of the class or of one of its bases changes, or the bases themselves. Later
//! the class gets another number. So while a class has the tag with which an entry was made, the
//! descriptor of the entry is the attribute of the class, which keeps the descriptor alive. The tag of
//! the metaclass says that it still has no attribute of this name, which might come first.

#![allow(unsafe_code)] // Reads version tags, and keeps borrowed references to descriptors.

use super::descriptor::{self, DescriptorObject};
use crate::python::interpreter::error::clear_exception;
use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, Slot, TypedObject as _, ffi, typed_object, types,
};
use std::cell::UnsafeCell;
use std::ffi::{c_uint, c_void};
use std::ptr;

typed_object! {
    /// A group: a class whose metaclass is that of groups or derived from it.
    GroupClass: GROUP_META_BASE and_subclasses
}

/// Whether version tags are what the head of this file says: CPython with the GIL, in the versions
/// for which that has been verified.
const IS_CACHED: bool = cfg!(known_layout);

/// The number of entries, a power of two.
const SIZE: usize = 256;

/// Longer names are not kept in the cache, which would keep them alive.
const LONGEST_NAME: isize = 100;

#[derive(Clone, Copy)]
struct Entry {
    /// The version tags of the class and of its metaclass, which are not 0 if there is a name.
    tags: [c_uint; 2],
    /// An owned reference, or null.
    name: RawObject,
    /// A borrowed reference to a `VariableDescriptor`; null if the name is not a field.
    descriptor: RawObject,
}

struct Cache(UnsafeCell<[Entry; SIZE]>);

// SAFETY: a thread accesses the entries only if `IS_CACHED` is true, so only with the GIL, which
// excludes all other threads.
unsafe impl Sync for Cache {}

static CACHE: Cache = {
    let empty = Entry { tags: [0; 2], name: ptr::null_mut(), descriptor: ptr::null_mut() };
    Cache(UnsafeCell::new([empty; SIZE]))
};

impl Cache {
    /// The address of the entry for a name of the class with this tag.
    #[inline(always)]
    fn entry(&self, tag: c_uint, name: RawObject) -> *mut Entry {
        // The lowest bits of addresses are always zero.
        let index = (tag as usize ^ (name.addr() >> 4)) % SIZE;
        self.0.get().cast::<Entry>().wrapping_add(index)
    }
}

/// The version tags of a class and of its metaclass; 0 for one that has none now.
///
/// # Safety
///
/// `class` is a live class.
#[inline(always)]
unsafe fn tags_of(class: RawObject) -> [c_uint; 2] {
    // SAFETY: a class keeps its metaclass, which is a class, alive.
    unsafe {
        let metaclass = ffi::Py_TYPE(class);
        [(*class.cast::<ffi::PyTypeObject>()).tp_version_tag, (*metaclass).tp_version_tag]
    }
}

/// `type.__getattribute__(class, name)`, with a cache for fields.
unsafe extern "C" fn get_attribute(class: RawObject, name: RawObject) -> RawObject {
    // SAFETY: CPython passes an instance of the metaclass, which is a class, and a name. The reader
    // of the attribute keeps both alive. An entry with these tags is right, so the class keeps its
    // descriptor alive until other code runs; another reference keeps it alive afterwards. The
    // thread holds the GIL, so no other thread changes the entry while it is copied.
    unsafe {
        let tags = tags_of(class);
        let entry = *CACHE.entry(tags[0], name);
        if !ptr::eq(entry.name, name) || entry.tags != tags {
            remember(class, name, tags);
        } else if let Some(field) = Owned::borrowed_or_null(&entry.descriptor) {
            let field = DescriptorObject::unchecked(field);
            return match field.cached_value() {
                Some(value) => value.into_ptr(),
                None => read(field, class),
            };
        }
        match ffi::PyType_Type.tp_getattro {
            Some(get) => ffi::CallSlot::call_slot(get, (class, name)),
            None => ptr::null_mut(),
        }
    }
}

/// Reads a field from its class, which may run other code.
///
/// # Safety
///
/// `class` is a live class.
#[inline(never)]
unsafe fn read(field: &DescriptorObject, class: RawObject) -> RawObject {
    let field = field.clone_reference();
    // SAFETY: the reference keeps the descriptor alive. Null stands for the missing instance.
    unsafe { descriptor::get(field.as_ptr(), ptr::null_mut(), class) }
}

/// Makes an entry for a name of a class with these tags, if they are valid.
///
/// # Safety
///
/// `class` is a live class, and `name` a live object.
#[cold]
#[inline(never)]
unsafe fn remember(class: RawObject, name: RawObject, tags: [c_uint; 2]) {
    // SAFETY: the class and its metaclass are alive. The length is that of a string. The
    // references that the entry gets are to a live string and to the attribute of a class with
    // valid tags. No other code runs between the last look at the tags and the end.
    unsafe {
        let is_usual =
            ffi::PyUnicode_CheckExact(name) != 0 && ffi::PyUnicode_GET_LENGTH(name) <= LONGEST_NAME;
        if tags.contains(&0) || !is_usual {
            return;
        }
        let name = Owned::borrowed(&name);
        let found = found_in(ffi::Py_TYPE(class), name)
            .and_then(|of_metaclass| Ok((of_metaclass, found_in(class.cast(), name)?)));
        let Ok((of_metaclass, of_class)) = found else {
            // The caller raises the exception again.
            return clear_exception();
        };
        let field = of_class.filter(DescriptorObject::is_instance);
        let descriptor = match (&of_metaclass, &field) {
            (None, Some(field)) => field.as_ptr(),
            _ => ptr::null_mut(),
        };
        // Comparing names may have run other code.
        if tags_of(class) != tags {
            return;
        }
        let entry = CACHE.entry(tags[0], name.as_ptr());
        let old = (*entry).name;
        *entry = Entry { tags, name: name.clone().into_ptr(), descriptor };
        if let Ok(old) = Owned::new(old) {
            drop(old); // a string, whose end runs no code
        }
    }
}

/// The attribute that a class has or inherits under a name, without calling its descriptor.
///
/// # Safety
///
/// `class` is alive.
unsafe fn found_in(class: *mut ffi::PyTypeObject, name: &Owned) -> Result<Option<Owned>, ErrorSet> {
    // SAFETY: a class that has a version tag is complete, so it has a tuple of bases, which are
    // classes with dicts. The references keep the tuple and the dicts alive.
    unsafe {
        let bases = Owned::from_borrowed((*class).tp_mro);
        for base in bases.tuple_items().unwrap_or_default() {
            let base = base.as_ptr().cast::<ffi::PyTypeObject>();
            #[cfg(Py_3_12)]
            let names = Owned::new(ffi::PyType_GetDict(base))?;
            #[cfg(not(Py_3_12))]
            let names = Owned::from_borrowed((*base).tp_dict);
            if let Some(found) = names.dict_item(name)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    let mut slots: Vec<Slot<GroupClass>> = Vec::new();
    if IS_CACHED {
        // SAFETY: the function takes a class of the metaclass and a name, as the slot does.
        slots.push(unsafe { Slot::raw(ffi::Py_tp_getattro, get_attribute as *mut c_void) });
    }
    let doc = c"The base of the metaclass of groups, from which fields are read fast.";
    types::GROUP_META_BASE.make_metaclass(c"ctxvars._core.GroupMetaBase", doc, slots)
}
