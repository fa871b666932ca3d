//! `MapKeys`, `MapValues` and `MapItems`: the views that `keys()`, `values()` and `items()` return.

use super::iterator::{self, EntryPart};
use super::key::{ByEquality, ByMembership};
use super::one_key;
use super::py_heap::{MapObject, PyHeap};
use crate::map::Trie;
use crate::python::interpreter::{
    ErrorSet, FreeList, Getter, HasFields, Method, Owned, RawObject, RecursionGuard, Slot,
    TypeHandle, TypeSpec, TypedObject, create, ffi, name, repr_of_container, type_object,
    typed_object, types,
};
use crate::python::set::SetObject;
use std::ffi::c_int;
use std::ptr;

typed_object! {
    /// A view of a map, of any of the three types.
    ViewObject: MAP_KEYS | MAP_VALUES | MAP_ITEMS
}

/// The only field of a view.
pub(crate) struct View {
    map: MapObject,
}

static FREE: [FreeList<8>; 3] = [const { FreeList::new() }; 3];

static PARTS: [(&TypeHandle, EntryPart); 3] = [
    (&types::MAP_KEYS, EntryPart::Key),
    (&types::MAP_VALUES, EntryPart::Value),
    (&types::MAP_ITEMS, EntryPart::Item),
];

/// The part of entries that a view of this type shows, `None` for other types.
#[inline]
fn part_of(class: *mut ffi::PyTypeObject) -> Option<EntryPart> {
    PARTS.iter().find_map(|&(it, part)| ptr::eq(it.as_ptr(), class).then_some(part))
}

#[allow(unsafe_code)] // Implements the trait of types with fields.
// SAFETY: `of` makes all views, by `create`. They have no list of weak references.
unsafe impl HasFields for ViewObject {
    type Fields = View;

    /// A view holds a map, whose deallocation bounds the depth of the stack.
    const IS_NESTED: bool = false;

    fn references(fields: &View) -> [Option<RawObject>; 4] {
        [Some(fields.map.as_ptr()), None, None, None]
    }

    #[inline]
    fn free_list(class: *mut ffi::PyTypeObject) -> Option<&'static FreeList<8>> {
        part_of(class).map(|part| &FREE[part as usize])
    }
}

impl ViewObject {
    pub(crate) fn map(&self) -> &MapObject {
        &self.fields().map
    }

    fn part(&self) -> EntryPart {
        let is = |handle: &TypeHandle| handle.is_type_of(self);
        PARTS.into_iter().find_map(|(it, part)| is(it).then_some(part)).unwrap_or(EntryPart::Key)
    }
}

/// A view of a map. O(1).
pub(crate) fn of(map: &MapObject, part: EntryPart) -> Result<Owned, ErrorSet> {
    let (handle, _) = PARTS[part as usize];
    let map = map.clone_reference();
    // A view of a map that the garbage collector need not track need not be tracked either.
    let is_tracked = map.is_tracked();
    create::<ViewObject>(handle, View { map }, is_tracked).map(ViewObject::into_owned)
}

fn iter(view: &ViewObject) -> Result<Owned, ErrorSet> {
    iterator::over(view.map().share(), view.part())
}

fn contains_key(view: &ViewObject, key: &Owned) -> Result<bool, ErrorSet> {
    one_key::contains(view.map(), key)
}

fn contains_item(view: &ViewObject, item: &Owned) -> Result<bool, ErrorSet> {
    let Some([key, value]) = item.items_of_tuple_like() else { return Ok(false) };
    match one_key::value_of(view.map(), key)? {
        Some(found) => found.equals(value),
        None => Ok(false),
    }
}

fn is_keys_or_items(object: &Owned) -> bool {
    types::MAP_KEYS.is_type_of(object) || types::MAP_ITEMS.is_type_of(object)
}

/// Whether a view can be compared with `object`: the rule of the views of `dict`.
pub(crate) fn is_set_like(object: &Owned) -> bool {
    is_keys_or_items(object)
        || SetObject::is_instance(object)
        || object.is_set_like()
        || object.is_dict_keys()
        || object.is_dict_items()
}

/// Two sets or views of keys, or two views of items, which are compared in place, without tuples.
struct Maps {
    left: Trie<PyHeap>,
    right: Trie<PyHeap>,
    part: EntryPart,
}

impl Maps {
    /// `None` if the operands are anything else.
    fn of(left: &Owned, right: &Owned) -> Option<Self> {
        let ((left, part), (right, part_of_right)) = (Self::one(left)?, Self::one(right)?);
        if part == EntryPart::Value || part != part_of_right {
            return None;
        }
        Some(Self { left: left.share(), right: right.share(), part })
    }

    /// The map of a set or of a view, and the part of its entries that are the items.
    fn one(object: &Owned) -> Option<(&MapObject, EntryPart)> {
        if let Some(set) = SetObject::of(object) {
            return Some((set.map(), EntryPart::Key));
        }
        ViewObject::of(object).map(|view| (view.map(), view.part()))
    }

    fn compare(&self) -> ByMembership {
        ByMembership::new(self.part == EntryPart::Item)
    }

    /// A set of the items that only one of the two has. Items that both have need not be hashable.
    fn symmetric_difference(&self) -> Result<Owned, ErrorSet> {
        let Self { left, right, part } = self;
        if *part == EntryPart::Key {
            return self.set(left.symmetric_difference(right, &mut ByEquality::default())?);
        }
        let only_left = self.set(left.entries_not_in(right, &mut self.compare())?)?;
        let only_right = self.set(right.entries_not_in(left, &mut self.compare())?)?;
        only_left.in_place_or(&only_right)
    }

    /// A set of the items of a map.
    fn set(&self, map: Trie<PyHeap>) -> Result<Owned, ErrorSet> {
        of(&MapObject::from_trie(map), self.part)?.to_set()
    }
}

/// Whether an object has a length and can look items up, so that the smaller of two such operands
/// can be iterated over. Subclasses do not count: their methods may disagree with one another.
pub(crate) fn is_container(object: &Owned) -> bool {
    is_keys_or_items(object)
        || SetObject::is_instance(object)
        || object.is_set_or_frozenset()
        || object.is_dict_keys()
        || object.is_dict_items()
}

/// Whether a container has all items of an iterable or, unless `has_it`, none of them.
pub(crate) fn all(items: &Owned, container: &Owned, has_it: bool) -> Result<bool, ErrorSet> {
    if let Some(maps) = Maps::of(items, container) {
        let (items, container, mut compare) = (&maps.left, &maps.right, maps.compare());
        return if has_it {
            items.is_subset(container, &mut compare)
        } else {
            items.is_disjoint(container, &mut compare)
        };
    }
    let iterator = items.iterator()?;
    while let Some(item) = iterator.next_item()? {
        if container.contains(&item)? != has_it {
            return Ok(false);
        }
    }
    Ok(true)
}

fn compare(view: &ViewObject, other: &Owned, operator: c_int) -> Result<Owned, ErrorSet> {
    if !is_set_like(other) {
        return Ok(Owned::not_implemented());
    }
    compare_sets(view, other, operator)
}

/// Compares a set or a view with another set.
pub(crate) fn compare_sets(set: &Owned, other: &Owned, operator: c_int) -> Result<Owned, ErrorSet> {
    let (own, others) = (set.length()?, other.length()?);
    let result = match operator {
        ffi::Py_EQ => own == others && all(set, other, true)?,
        ffi::Py_NE => !(own == others && all(set, other, true)?),
        ffi::Py_LT => own < others && all(set, other, true)?,
        ffi::Py_LE => own <= others && all(set, other, true)?,
        ffi::Py_GT => own > others && all(other, set, true)?,
        _ => own >= others && all(other, set, true)?,
    };
    Ok(Owned::from_bool(result))
}

/// A set of the items of `left`, changed by a method of sets with the argument `right`.
fn set_operation(left: &Owned, right: &Owned, method: &Owned) -> Result<Owned, ErrorSet> {
    let result = left.to_set()?;
    result.call_method_one(method, right)?;
    Ok(result)
}

/// Adds the items that a container has, or those that it does not have, to a set.
fn add_if(set: &Owned, items: &Owned, container: &Owned, has_it: bool) -> Result<(), ErrorSet> {
    items.for_each(|item| {
        if container.contains(&item)? == has_it {
            set.add(&item)?;
        }
        Ok(())
    })
}

/// The items that both operands have. It iterates over the smaller operand.
///
/// Which of two equal items is in the result, and whether items must be hashable, is as for the
/// views of `dict`, with one exception: a larger frozenset of keys is not iterated over, so the
/// keys of the view are in the result.
fn and(left: &Owned, right: &Owned) -> Result<Owned, ErrorSet> {
    let (mut view, mut other) = if is_keys_or_items(left) { (left, right) } else { (right, left) };
    if is_container(other) && view.length()? <= other.length()? {
        if other.is_set() {
            return other.call_method_one(name!("intersection"), view);
        }
        // A view can look up items that are not hashable, but an immutable set would hash them.
        let is_hashed = other.is_frozenset() || SetObject::is_instance(other);
        let is_items = types::MAP_ITEMS.is_type_of(view);
        if view.length()? < other.length()? && !(is_hashed && is_items) {
            (view, other) = (other, view);
        }
    }
    if let Some(maps) = Maps::of(other, view) {
        return maps.set(maps.left.entries_in(&maps.right, &mut maps.compare())?);
    }
    let result = Owned::set()?;
    add_if(&result, other, view, true)?;
    Ok(result)
}

fn or(left: &Owned, right: &Owned) -> Result<Owned, ErrorSet> {
    set_operation(left, right, name!("update"))
}

/// The items of the left operand that the right one does not have. It iterates over the smaller
/// one.
fn subtract(left: &Owned, right: &Owned) -> Result<Owned, ErrorSet> {
    // Items on the right that cannot be hashed are an error, so all of them have to be seen.
    let has_items = types::MAP_ITEMS.is_type_of(right) || right.is_dict_items();
    if has_items || !is_container(left) || !is_container(right) {
        return set_operation(left, right, name!("difference_update"));
    }
    if let Some(maps) = Maps::of(left, right) {
        return maps.set(maps.left.difference(&maps.right, &mut ByEquality::default())?);
    }
    if left.length()? >= right.length()? {
        return set_operation(left, right, name!("difference_update"));
    }
    let result = Owned::set()?;
    add_if(&result, left, right, false)?;
    Ok(result)
}

fn xor(left: &Owned, right: &Owned) -> Result<Owned, ErrorSet> {
    if let Some(maps) = Maps::of(left, right) {
        return maps.symmetric_difference();
    }
    let has_items = |it: &Owned| types::MAP_ITEMS.is_type_of(it) || it.is_dict_items();
    if !has_items(left) || !has_items(right) {
        return set_operation(left, right, name!("symmetric_difference_update"));
    }
    // As for `dict`, items that both operands have need not be hashable.
    let result = Owned::set()?;
    add_if(&result, left, right, false)?;
    add_if(&result, right, left, false)?;
    Ok(result)
}

fn is_disjoint(view: &ViewObject, other: &Owned) -> Result<Owned, ErrorSet> {
    are_disjoint(view, other).map(Owned::from_bool)
}

/// Whether a set or a view has none of the items of an iterable.
pub(crate) fn are_disjoint(set: &Owned, other: &Owned) -> Result<bool, ErrorSet> {
    let is_smaller = is_container(other) && set.length()? < other.length()?;
    let (items, container) = if is_smaller { (set, other) } else { (other, set) };
    all(items, container, false)
}

fn repr(view: &ViewObject) -> Result<Owned, ErrorSet> {
    repr_of_container(view, c"...", || {
        let _nested = RecursionGuard::counted(c" while getting the repr of a view")?;
        Owned::format_named(c"%s(%R)", view.type_name(), &view.to_list()?)
    })
}

fn spec(part: EntryPart) -> TypeSpec<ViewObject> {
    let (name, doc) = match part {
        EntryPart::Key => (
            c"ctxvars.MapKeys",
            c"A set-like view of the keys of a Map.\n\n\
            It can be compared with and combined with sets and the views of dicts. Looking a key up\n\
            is O(log n).\n\n\
            >>> import ctxvars\n\
            >>> keys = ctxvars.Map(a=1, b=2).keys()\n\
            >>> 'a' in keys, keys == {'a', 'b'}, keys - {'b'}\n\
            (True, True, {'a'})",
        ),
        EntryPart::Value => (
            c"ctxvars.MapValues",
            c"A view of the values of a Map.\n\n\
            >>> import ctxvars\n\
            >>> values = ctxvars.Map(a=1, b=2).values()\n\
            >>> len(values), sum(values)\n\
            (2, 3)",
        ),
        EntryPart::Item => (
            c"ctxvars.MapItems",
            c"A set-like view of the items of a Map, pairs of key and value.\n\n\
            It can be compared with and combined with sets and the views of dicts. Looking an item\n\
            up is O(log n).\n\n\
            >>> import ctxvars\n\
            >>> items = ctxvars.Map(a=1, b=2).items()\n\
            >>> ('a', 1) in items, items & {('b', 2), ('b', 3)}\n\
            (True, {('b', 2)})",
        ),
    };
    let mut spec = TypeSpec {
        name,
        doc: Some(doc),
        flags: ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
        slots: vec![
            Slot::repr(repr),
            Slot::iter(iter),
            Slot::length(|view: &ViewObject| view.map().len()),
        ],
        methods: vec![type_object::not_to_be_pickled(), type_object::class_getitem()],
        getters: vec![Getter::new(
            c"mapping",
            |view: &ViewObject| Ok((**view.map()).clone()),
            c"The Map that the view shows.",
        )],
        ..TypeSpec::default()
    };
    if part != EntryPart::Value {
        spec.methods.push(Method::one(
            c"isdisjoint",
            is_disjoint,
            c"isdisjoint($self, other, /)\n--\n\n\
            Return whether the view has none of the items of an iterable.\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Map(a=1).keys().isdisjoint('bc')\n\
            True",
        ));
        spec.slots.extend([
            if part == EntryPart::Key {
                Slot::contains(contains_key)
            } else {
                Slot::contains(contains_item)
            },
            Slot::compare(compare),
            Slot::unhashable(),
            Slot::operator(ffi::Py_nb_and, and),
            Slot::operator(ffi::Py_nb_or, or),
            Slot::operator(ffi::Py_nb_subtract, subtract),
            Slot::operator(ffi::Py_nb_xor, xor),
        ]);
    }
    spec
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    PARTS.into_iter().try_for_each(|(handle, part)| handle.make_with_fields(spec(part)))
}
