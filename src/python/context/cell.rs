//! The cell: the value of the root variable where bindings are edited in place.
//!
//! The identity of a cell is stable, so bindings in it can grow, shrink and be replaced without a
//! change of the native context. `native_layout` finds out whether the current native context is
//! the only owner of its cell. The bindings may still be shared, with a `Map` for example: an edit
//! copies shared nodes.
//!
//! # Places of values
//!
//! A variable remembers where its value lies in the nodes, so that `get` need not look it up. The
//! *shape* of bindings says whether that is still right: see [`MapTag::shape`]. The cell has a copy
//! of the shape, so that `get` need not load the root.
//!
//! Code that reads native contexts can find a cell. It reads as a mapping from variables to values.

use super::root_variable;
use super::variable::VariableObject;
use crate::context::{Bindings, Version};
use crate::map::InPlace;
use crate::python::interpreter::{
    ErrorSet, FreeList, HasFields, Owned, RawObject, Slot, TypeSpec, TypedObject as _,
    attribute_of_proxy, create, eq_or_ne, ffi, typed_object, types,
};
use crate::python::map::py_heap::{self, MapObject, PyHeap};
use std::cell::Cell;
use std::ffi::c_int;

typed_object! {
    /// A [`BindingsCell`].
    CellObject: BINDINGS_CELL
}

/// The fields of a cell.
pub(crate) struct BindingsCell {
    shape: Cell<Version>,
    /// Taken out while they are read or edited, which runs no other code.
    bindings: Cell<Bindings<PyHeap>>,
}

static FREE: FreeList<8> = FreeList::new();

#[allow(unsafe_code)] // Implements the trait, whose contract is about how instances are made.
// SAFETY: `CellObject::new` makes all cells, by `create`. They have no list of weak references.
unsafe impl HasFields for CellObject {
    type Fields = BindingsCell;

    fn references(fields: &BindingsCell) -> [Option<RawObject>; 4] {
        let root = fields.with(|bindings| bindings.root().map(py_heap::object_of_ref));
        [root, None, None, None]
    }

    #[inline(always)]
    fn free_list(_: *mut ffi::PyTypeObject) -> Option<&'static FreeList<8>> {
        Some(&FREE)
    }
}

/// The shape of bindings, which is in the tag of their root.
#[inline]
fn shape_of(bindings: &Bindings<PyHeap>) -> Version {
    bindings.root().map_or(Version::EMPTY, |root| root.tag().shape())
}

impl BindingsCell {
    #[inline]
    fn with<R>(&self, reader: impl FnOnce(&Bindings<PyHeap>) -> R) -> R {
        let bindings = self.bindings.take();
        let result = reader(&bindings);
        self.bindings.set(bindings);
        result
    }
}

impl CellObject {
    #[inline]
    pub(crate) fn new(bindings: Bindings<PyHeap>) -> Result<Self, ErrorSet> {
        let shape = Cell::new(shape_of(&bindings));
        let fields = BindingsCell { shape, bindings: Cell::new(bindings) };
        create(&types::BINDINGS_CELL, fields, true)
    }

    #[inline(always)]
    pub(crate) fn shape(&self) -> Version {
        self.fields().shape.get()
    }

    /// Calls `reader`, which runs no other code, with the bindings.
    #[inline]
    pub(crate) fn with<R>(&self, reader: impl FnOnce(&Bindings<PyHeap>) -> R) -> R {
        self.fields().with(reader)
    }

    /// The bindings, shared. The next edit copies the nodes on its path.
    #[inline]
    pub(crate) fn share(&self) -> Bindings<PyHeap> {
        self.with(Bindings::clone)
    }

    /// Calls `edit`, which runs no other code, with the bindings.
    #[inline]
    pub(crate) fn edit<R>(&self, edit: impl FnOnce(&mut Bindings<PyHeap>) -> R) -> R {
        let fields = self.fields();
        let mut bindings = fields.bindings.take();
        let result = edit(&mut bindings);
        fields.shape.set(shape_of(&bindings));
        fields.bindings.set(bindings);
        result
    }

    /// Replaces the value of a variable, if it has one and no other map shares its node. Returns the
    /// old value, or else the new one.
    #[inline]
    pub(crate) fn replace(&self, variable: &VariableObject, value: Owned) -> Result<Owned, Owned> {
        let fields = self.fields();
        if variable.is_unset_in(self.shape()) {
            return Err(value);
        }
        let mut bindings = fields.bindings.take();
        let result = bindings.replace_in_place(variable, value);
        fields.bindings.set(bindings);
        match result {
            Ok(InPlace::Replaced { old, place }) => {
                variable.remember(self.shape(), place);
                Ok(old)
            }
            Ok(InPlace::Unchanged(value)) => Ok(value),
            Ok(InPlace::Impossible(value)) => Err(value),
            Err(_) => unreachable!("comparing variables does not fail"),
        }
    }

    /// Whether the bindings may be edited: a root with weak references counts as shared. An edit
    /// would drop it, and run their callbacks.
    #[inline]
    pub(crate) fn is_editable(&self) -> bool {
        self.with(|bindings| bindings.root().is_none_or(|root| !root.tag().is_weakly_referenced()))
    }

    /// The bindings as a `Map`.
    pub(crate) fn map(&self) -> MapObject {
        root_variable::map_of(self.share())
    }
}

/// An attribute of the bindings as a `Map`, such as `keys`.
fn attribute(cell: &CellObject, name: &Owned) -> Result<Owned, ErrorSet> {
    attribute_of_proxy(cell, name, |object| {
        CellObject::of(object).map(|cell| cell.map().into_owned())
    })
}

/// Breaks cycles. No other code reads the cell then.
fn clear(cell: &CellObject) {
    let fields = cell.fields();
    fields.shape.set(Version::EMPTY);
    drop(fields.bindings.take());
}

fn compare(cell: &CellObject, other: &Owned, operator: c_int) -> Result<Owned, ErrorSet> {
    // Comparing values may set variables, so both maps are kept alive here.
    let own = cell.map();
    let other = root_variable::as_map(other);
    eq_or_ne(operator, other.is_some(), || match &other {
        Some(other) => own.equals(other),
        None => Ok(false),
    })
}

/// Makes the type of cells, which Python code does not name.
pub(crate) fn init() -> Result<(), ErrorSet> {
    types::BINDINGS_CELL.make_with_fields::<CellObject>(TypeSpec {
        name: c"ctxvars._core.BindingsCell",
        flags: ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
        slots: vec![
            Slot::clear(clear),
            Slot::unhashable(),
            Slot::compare(compare),
            Slot::repr(|cell: &CellObject| Owned::format(c"%R", &cell.map())),
            Slot::get_attribute(attribute),
            Slot::iter(|cell: &CellObject| cell.map().iterator()),
            Slot::length(|cell: &CellObject| cell.with(Bindings::len)),
            Slot::subscript(|cell: &CellObject, key: &Owned| cell.map().item(key)),
            Slot::contains(|cell: &CellObject, key: &Owned| cell.map().contains(key)),
        ],
        ..TypeSpec::default()
    })
}
