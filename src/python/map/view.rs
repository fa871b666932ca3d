//! `MapKeys`, `MapValues` and `MapItems`: what `keys()`, `values()` and `items()` of a map return.

#![allow(unsafe_code)] // The functions in the slots of the classes.

use super::{class, entries, iterator, py_heap};
use crate::map::Trie;
use crate::python::interpreter::memory::gc;
use crate::python::interpreter::types;
use crate::python::interpreter::{
    ErrorSet, FreeList, Owned, RawObject, RecursionGuard, catch_panic, ffi, name, type_object,
};
use crate::python::map::iterator::EntryPart;
use crate::python::map::key::{ByEquality, ByMembership};
use crate::python::map::py_heap::PyHeap;
use std::ffi::{c_int, c_void};
use std::ptr;

static FREE: [FreeList<8>; 3] = [const { FreeList::new() }; 3];

#[repr(C)]
struct View {
    object: ffi::PyObject,
    map: Owned,
}

/// The map behind a view; not counted.
///
/// # Safety
///
/// `object` is a view that outlives the use.
#[inline]
pub(crate) unsafe fn map_of(object: RawObject) -> RawObject {
    // SAFETY: as the caller promises.
    unsafe { (*object.cast::<View>()).map.as_ptr() }
}

/// The view of a map. O(1).
///
/// # Safety
///
/// `map` is a `Map`.
pub(crate) unsafe fn of(map: RawObject, part: EntryPart) -> Result<RawObject, ErrorSet> {
    let class = match part {
        EntryPart::Key => &types::MAP_KEYS,
        EntryPart::Value => &types::MAP_VALUES,
        EntryPart::Item => &types::MAP_ITEMS,
    };
    // SAFETY: the field is written before anybody can see the object.
    unsafe {
        let object =
            FREE[part as usize].take().unwrap_or_else(|| ffi::PyObject_GC_New(class.as_ptr()));
        if object.is_null() {
            return Err(ErrorSet);
        }
        (&raw mut (*object.cast::<View>()).map).write(Owned::from_borrowed(map));
        if ffi::PyObject_GC_IsTracked(map) != 0 {
            ffi::PyObject_GC_Track(object.cast());
        }
        Ok(object)
    }
}

/// What a view of this class yields, `None` if it is not the class of a view.
fn part(class: *mut ffi::PyTypeObject) -> Option<EntryPart> {
    [
        (&types::MAP_KEYS, EntryPart::Key),
        (&types::MAP_VALUES, EntryPart::Value),
        (&types::MAP_ITEMS, EntryPart::Item),
    ]
    .into_iter()
    .find_map(|(it, part)| ptr::eq(it.as_ptr(), class).then_some(part))
}

unsafe extern "C" fn len(object: RawObject) -> ffi::Py_ssize_t {
    // SAFETY: CPython checks the class of `object`.
    unsafe { py_heap::len(map_of(object)) as ffi::Py_ssize_t }
}

unsafe extern "C" fn iter(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        let part = part(ffi::Py_TYPE(object)).unwrap_or(EntryPart::Key);
        iterator::over(py_heap::share(map_of(object)), part)
    })
}

unsafe extern "C" fn contains_key(object: RawObject, key: RawObject) -> c_int {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe { Ok((!class::value_of(map_of(object), key)?.is_null()).into()) })
}

unsafe extern "C" fn contains_item(object: RawObject, item: RawObject) -> c_int {
    // SAFETY: CPython checks the class of `object`; the map keeps the value alive.
    catch_panic(|| unsafe {
        if ffi::PyTuple_Check(item) == 0 || ffi::PyTuple_Size(item) != 2 {
            return Ok(0);
        }
        let (key, value) = (ffi::PyTuple_GetItem(item, 0), ffi::PyTuple_GetItem(item, 1));
        let found = class::value_of(map_of(object), key)?;
        if found.is_null() {
            return Ok(0);
        }
        match ffi::PyObject_RichCompareBool(found, value, ffi::Py_EQ) {
            ..0 => Err(ErrorSet),
            equal => Ok(equal),
        }
    })
}

/// Whether `object` is set-like in the way that views are compared with: as for those of `dict`.
///
/// # Safety
///
/// `object` is alive.
unsafe fn is_set(object: RawObject) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        types::MAP_KEYS.is_type_of(object)
            || types::MAP_ITEMS.is_type_of(object)
            || ffi::PyAnySet_Check(object) != 0
            || ffi::PyDictKeys_Check(object) != 0
            || ffi::PyDictItems_Check(object) != 0
    }
}

/// Two views of one kind on maps of ours, whose items are compared without making them.
struct Maps {
    left: Trie<PyHeap>,
    right: Trie<PyHeap>,
    part: EntryPart,
}

impl Maps {
    /// `None` if the operands are anything else.
    ///
    /// # Safety
    ///
    /// Both are alive.
    unsafe fn of(left: RawObject, right: RawObject) -> Option<Self> {
        // SAFETY: the caller keeps both alive, and the class is that of a view.
        unsafe {
            let part = part(ffi::Py_TYPE(left))?;
            if part == EntryPart::Value || !ptr::eq(ffi::Py_TYPE(left), ffi::Py_TYPE(right)) {
                return None;
            }
            let map = |view| py_heap::share(map_of(view));
            Some(Self { left: map(left), right: map(right), part })
        }
    }

    fn compare(&self) -> ByMembership {
        ByMembership::new(self.part == EntryPart::Item)
    }

    /// A set of the items that only one of the two has. Those that both have need not be hashable.
    fn symmetric_difference(&self) -> Result<Owned, ErrorSet> {
        let Self { left, right, part } = self;
        if *part == EntryPart::Key {
            return self.set(left.symmetric_difference(right, &mut ByEquality::default())?);
        }
        let only_left = self.set(left.entries_not_in(right, &mut self.compare())?)?;
        let only_right = self.set(right.entries_not_in(left, &mut self.compare())?)?;
        // SAFETY: both are sets.
        unsafe { Owned::new(ffi::PyNumber_InPlaceOr(only_left.as_ptr(), only_right.as_ptr())) }
    }

    /// A set of the items of a map.
    fn set(&self, map: Trie<PyHeap>) -> Result<Owned, ErrorSet> {
        // SAFETY: the map is alive.
        unsafe {
            let view = Owned::new(of(py_heap::into_object(map).as_ptr(), self.part)?)?;
            Owned::new(ffi::PySet_New(view.as_ptr()))
        }
    }
}

/// Whether an object knows its length and can look items up, so that the smaller of it and another
/// one is walked over. Subclasses may have methods that do not agree with one another.
///
/// # Safety
///
/// `object` is alive.
unsafe fn is_container(object: RawObject) -> bool {
    // SAFETY: the caller keeps the object alive.
    unsafe {
        is_view(object)
            || ffi::PyAnySet_CheckExact(object) != 0
            || ffi::PyDictKeys_Check(object) != 0
            || ffi::PyDictItems_Check(object) != 0
    }
}

/// # Safety
///
/// `object` is alive.
unsafe fn size(object: RawObject) -> Result<isize, ErrorSet> {
    // SAFETY: the caller keeps the object alive.
    match unsafe { ffi::PyObject_Size(object) } {
        ..0 => Err(ErrorSet),
        size => Ok(size),
    }
}

/// Whether a container has all items of an iterable or, unless `has_it`, none of them.
///
/// # Safety
///
/// Both are kept alive by the caller.
unsafe fn all(items: RawObject, container: RawObject, has_it: bool) -> Result<bool, ErrorSet> {
    // SAFETY: the caller keeps both alive.
    unsafe {
        if let Some(maps) = Maps::of(items, container) {
            let (items, container, mut compare) = (&maps.left, &maps.right, maps.compare());
            return if has_it {
                items.is_subset(container, &mut compare)
            } else {
                items.is_disjoint(container, &mut compare)
            };
        }
        let mut all = true;
        let iterator = Owned::new(ffi::PyObject_GetIter(items))?;
        while all {
            let Ok(item) = Owned::new(ffi::PyIter_Next(iterator.as_ptr())) else { break };
            match ffi::PySequence_Contains(container, item.as_ptr()) {
                ..0 => return Err(ErrorSet),
                found => all = (found != 0) == has_it,
            }
        }
        if ffi::PyErr_Occurred().is_null() { Ok(all) } else { Err(ErrorSet) }
    }
}

unsafe extern "C" fn compare(object: RawObject, other: RawObject, operator: c_int) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe {
        if !is_set(other) {
            return Ok(Owned::from_borrowed(ffi::Py_NotImplemented()).into_ptr());
        }
        let (own, others) = (size(object)?, size(other)?);
        let result = match operator {
            ffi::Py_EQ => own == others && all(object, other, true)?,
            ffi::Py_NE => !(own == others && all(object, other, true)?),
            ffi::Py_LT => own < others && all(object, other, true)?,
            ffi::Py_LE => own <= others && all(object, other, true)?,
            ffi::Py_GT => own > others && all(other, object, true)?,
            _ => own >= others && all(other, object, true)?,
        };
        Ok(ffi::PyBool_FromLong(result.into()))
    })
}

/// A set of the items of `left`, changed by a method of sets with `right`.
fn set_operation(left: RawObject, right: RawObject, method: RawObject) -> RawObject {
    // SAFETY: all are alive; the method takes one argument.
    catch_panic(|| unsafe {
        let result = Owned::new(ffi::PySet_New(left))?;
        Owned::new(ffi::PyObject_CallMethodOneArg(result.as_ptr(), method, right))?;
        Ok(result.into_ptr())
    })
}

/// The items that both have, walking over the smaller operand. Which of two equal items is kept, and
/// whether those of a view have to be hashable, is as for the views of `dict`; only that a larger
/// frozenset of keys is not walked over, so that the keys of the view are kept.
unsafe extern "C" fn and(left: RawObject, right: RawObject) -> RawObject {
    // SAFETY: CPython calls this if one of the two is a view; both are alive.
    catch_panic(|| unsafe {
        let (mut view, mut other) = if is_view(left) { (left, right) } else { (right, left) };
        if is_container(other) && size(view)? <= size(other)? {
            if ffi::PySet_CheckExact(other) != 0 {
                let common = ffi::PyObject_CallMethodOneArg(other, name!("intersection"), view);
                return Owned::new(common).map(Owned::into_ptr);
            }
            // Items need not be hashable to be looked up in, and a frozenset would hash them.
            let is_hashed = ffi::PyFrozenSet_CheckExact(other) != 0;
            if size(view)? < size(other)? && !(is_hashed && types::MAP_ITEMS.is_type_of(view)) {
                (view, other) = (other, view);
            }
        }
        if let Some(maps) = Maps::of(other, view) {
            let common = maps.left.entries_in(&maps.right, &mut maps.compare())?;
            return maps.set(common).map(Owned::into_ptr);
        }
        let result = Owned::new(ffi::PySet_New(ptr::null_mut()))?;
        add_if(result.as_ptr(), other, view, true)?;
        Ok(result.into_ptr())
    })
}

/// # Safety
///
/// `object` is alive.
unsafe fn is_view(object: RawObject) -> bool {
    // SAFETY: as the caller promises.
    unsafe { types::MAP_KEYS.is_type_of(object) || types::MAP_ITEMS.is_type_of(object) }
}

unsafe extern "C" fn or(left: RawObject, right: RawObject) -> RawObject {
    set_operation(left, right, name!("update"))
}

/// The items of the left operand that the right one does not have, walking over the smaller one.
unsafe extern "C" fn subtract(left: RawObject, right: RawObject) -> RawObject {
    // SAFETY: CPython calls this if one of the two is a view; both are alive.
    unsafe {
        // What may hold items that cannot be hashed has to be walked over: those are an error.
        let has_items = types::MAP_ITEMS.is_type_of(right) || ffi::PyDictItems_Check(right) != 0;
        if has_items || !is_container(left) || !is_container(right) {
            return set_operation(left, right, name!("difference_update"));
        }
        catch_panic(|| {
            if let Some(maps) = Maps::of(left, right) {
                let rest = maps.left.difference(&maps.right, &mut ByEquality::default())?;
                return maps.set(rest).map(Owned::into_ptr);
            }
            if size(left)? >= size(right)? {
                return Owned::new(set_operation(left, right, name!("difference_update")))
                    .map(Owned::into_ptr);
            }
            let result = Owned::new(ffi::PySet_New(ptr::null_mut()))?;
            add_if(result.as_ptr(), left, right, false)?;
            Ok(result.into_ptr())
        })
    }
}

unsafe extern "C" fn xor(left: RawObject, right: RawObject) -> RawObject {
    // SAFETY: CPython calls this if one of the two is a view; both are alive.
    unsafe {
        if let Some(maps) = Maps::of(left, right) {
            return catch_panic(|| maps.symmetric_difference().map(Owned::into_ptr));
        }
        let has_items =
            |object| types::MAP_ITEMS.is_type_of(object) || ffi::PyDictItems_Check(object) != 0;
        if !has_items(left) || !has_items(right) {
            return set_operation(left, right, name!("symmetric_difference_update"));
        }
        // As for `dict`, items that both have need not be hashable.
        catch_panic(|| {
            let result = Owned::new(ffi::PySet_New(ptr::null_mut()))?;
            add_if(result.as_ptr(), left, right, false)?;
            add_if(result.as_ptr(), right, left, false)?;
            Ok(result.into_ptr())
        })
    }
}

/// Adds those items to a set that a container has, or those that it does not have.
///
/// # Safety
///
/// All are kept alive by the caller.
unsafe fn add_if(
    set: RawObject,
    items: RawObject,
    container: RawObject,
    has_it: bool,
) -> Result<(), ErrorSet> {
    // SAFETY: as the caller promises.
    unsafe {
        entries::each(items, |item| match ffi::PySequence_Contains(container, item.as_ptr()) {
            ..0 => Err(ErrorSet),
            found if (found != 0) == has_it && ffi::PySet_Add(set, item.as_ptr()) < 0 => {
                Err(ErrorSet)
            }
            _ => Ok(()),
        })
    }
}

unsafe extern "C" fn is_disjoint(object: RawObject, other: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe {
        let is_smaller = is_container(other) && size(object)? < size(other)?;
        let (items, container) = if is_smaller { (object, other) } else { (other, object) };
        Ok(ffi::PyBool_FromLong(all(items, container, false)?.into()))
    })
}

unsafe extern "C" fn repr(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; the format matches the arguments.
    catch_panic(|| unsafe {
        match ffi::Py_ReprEnter(object) {
            0 => {}
            ..0 => return Err(ErrorSet),
            _ => return Ok(ffi::PyUnicode_FromString(c"...".as_ptr())),
        }
        let text =
            RecursionGuard::counted(c" while getting the repr of a view").and_then(|_nested| {
                let items = Owned::new(ffi::PySequence_List(object))?;
                let name = (*ffi::Py_TYPE(object)).tp_name;
                Owned::new(ffi::calling!(PyUnicode_FromFormat(
                    c"%s(%R)".as_ptr(),
                    name,
                    items.as_ptr()
                )))
            });
        ffi::Py_ReprLeave(object);
        text.map(Owned::into_ptr)
    })
}

unsafe extern "C" fn get_mapping(object: RawObject, _: *mut c_void) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    unsafe { Owned::from_borrowed(map_of(object)) }.into_ptr()
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for a tracked, and so complete, instance.
    unsafe { gc::traverse(object, &[Some(map_of(object))], visit, arg) }
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this when the last reference is gone; the instance is complete.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        ptr::drop_in_place(&raw mut (*object.cast::<View>()).map);
        match part(ffi::Py_TYPE(object)) {
            Some(part) => FREE[part as usize].give(object),
            None => gc::free(object),
        }
    }
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    let classes = [
        (
            &types::MAP_KEYS,
            EntryPart::Key,
            c"ctxvars.MapKeys",
            c"A set-like view of the keys of a Map.",
        ),
        (
            &types::MAP_VALUES,
            EntryPart::Value,
            c"ctxvars.MapValues",
            c"A view of the values of a Map.",
        ),
        (
            &types::MAP_ITEMS,
            EntryPart::Item,
            c"ctxvars.MapItems",
            c"A set-like view of the items of a Map.",
        ),
    ];
    for (class, part, name, doc) in classes {
        let attributes = type_object::attributes(&[(
            c"mapping",
            get_mapping,
            c"The Map that this is a view of.",
        )]);
        let mut slots = vec![
            (ffi::Py_tp_dealloc, dealloc as *mut c_void),
            (ffi::Py_tp_traverse, traverse as *mut c_void),
            (ffi::Py_tp_repr, repr as *mut c_void),
            (ffi::Py_tp_iter, iter as *mut c_void),
            (ffi::Py_mp_length, len as *mut c_void),
            (ffi::Py_tp_getset, attributes),
            (ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()),
        ];
        let mut methods = vec![type_object::not_to_be_pickled(), type_object::class_getitem()];
        if part != EntryPart::Value {
            methods.push(type_object::method(
                c"isdisjoint",
                ffi::PyMethodDefPointer { PyCFunction: is_disjoint },
                ffi::METH_O,
                c"isdisjoint($self, other, /)\n--\n\n\
                Return whether the view has no item of an iterable.",
            ));
            let contains = match part {
                EntryPart::Key => contains_key as *mut c_void,
                _ => contains_item as *mut c_void,
            };
            slots.extend([
                (ffi::Py_sq_contains, contains),
                (ffi::Py_tp_richcompare, compare as *mut c_void),
                (ffi::Py_tp_hash, ffi::slot::PyObject_HashNotImplemented as *mut c_void),
                (ffi::Py_nb_and, and as *mut c_void),
                (ffi::Py_nb_or, or as *mut c_void),
                (ffi::Py_nb_subtract, subtract as *mut c_void),
                (ffi::Py_nb_xor, xor as *mut c_void),
            ]);
        }
        methods.push(ffi::PyMethodDef::zeroed());
        slots.push((ffi::Py_tp_methods, type_object::leaked(methods)));
        // SAFETY: each slot has the function that its number stands for.
        unsafe {
            class.make(
                name,
                size_of::<View>(),
                0,
                ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
                &slots,
            )?;
        }
    }
    Ok(())
}
