//! Copies of maps, shallow and deep, and pickles.

#![allow(unsafe_code)] // Makes integers of addresses, as `id` does.

use super::entries::Entries;
use super::py_heap::{self, MapObject, PyHeap};
use crate::map::{EntryOf, NodeRef, Rewrite, Trie};
use crate::python::interpreter::{
    ErrorSet, Method, Owned, RawObject, RecursionGuard, TypedObject as _, checked, ffi,
    lazy_import, name, types,
};
use std::ptr;

/// A map is immutable, so it is its own copy.
fn copy(map: &MapObject) -> Result<Owned, ErrorSet> {
    Ok((**map).clone())
}

/// One call of `copy.deepcopy`: its function, and its memo of the copies made so far.
struct DeepCopy {
    deepcopy: &'static Owned,
    memo: Owned,
    /// Keys of the map whose copies are other objects, in the order of iteration, and these copies.
    new_keys: Vec<(Owned, Owned)>,
}

/// `id(object)`
fn identity(object: RawObject) -> Result<Owned, ErrorSet> {
    // SAFETY: the call reads the address only, and returns a new reference or null.
    unsafe { Owned::new(ffi::PyLong_FromVoidPtr(object.cast())) }
}

impl DeepCopy {
    /// A call without a memo begins a new copy.
    fn new(memo: &Owned) -> Result<Self, ErrorSet> {
        let memo = if memo.is_none() { Owned::dict()? } else { memo.clone() };
        Ok(Self { deepcopy: lazy_import::DEEPCOPY.get()?, memo, new_keys: Vec::new() })
    }

    fn copied(&self, object: &Owned) -> Result<Owned, ErrorSet> {
        self.deepcopy.call([object, &self.memo])
    }

    /// The copy of an object according to the memo.
    fn known(&self, object: RawObject) -> Result<Option<Owned>, ErrorSet> {
        let identity = identity(object)?;
        if self.memo.is_dict() {
            let (memo, mut known) = (self.memo.as_ptr(), ptr::null_mut());
            // SAFETY: the memo is a dict, and the key is alive; `known` receives a new reference or
            // null.
            unsafe {
                checked(ffi::PyDict_GetItemRef(memo, identity.as_ptr(), &raw mut known))?;
                return Ok(Owned::new(known).ok());
            }
        }
        // `copy.deepcopy` accepts any object that has the method of a dict.
        let known = self.memo.call_method_one(name!("get"), &identity)?;
        Ok((!known.is_none()).then_some(known))
    }
}

impl Rewrite<PyHeap> for DeepCopy {
    /// A node is an object, so the memo can hold it. A map is its root.
    fn is_unchanged(&mut self, node: &NodeRef<PyHeap>) -> Result<bool, ErrorSet> {
        let object = py_heap::object_of_ref(node);
        Ok(self.known(object)?.is_some_and(|known| ptr::eq(known.as_ptr(), object)))
    }

    /// The memo keeps the node alive, so no other object gets its identity.
    fn mark_unchanged(&mut self, node: &NodeRef<PyHeap>) -> Result<(), ErrorSet> {
        // A node whose keys have changed is not its own copy.
        if !self.new_keys.is_empty() {
            return Ok(());
        }
        let object = py_heap::object_of_ref(node);
        // SAFETY: the reference to the node keeps its object alive.
        self.memo.set_item(&identity(object)?, unsafe { Owned::borrowed(&object) })
    }

    fn new_value(&mut self, entry: &EntryOf<PyHeap>) -> Result<Owned, ErrorSet> {
        let (key, value) = (self.copied(&entry.key)?, self.copied(&entry.value)?);
        if !key.is(&entry.key) {
            self.new_keys.push((entry.key.clone(), key));
        }
        Ok(value)
    }
}

/// The result of copying the entries of an object.
pub(crate) enum Copied {
    /// A cycle through an entry has copied the object already.
    Earlier(Owned),
    Now(Trie<PyHeap>),
}

fn deepcopy(map: &MapObject, memo: &Owned) -> Result<Owned, ErrorSet> {
    Ok(match deep_copy(map, map, memo)? {
        Copied::Earlier(copy) => copy,
        Copied::Now(entries) => MapObject::from_trie(entries).into_owned(),
    })
}

/// Deep copies of the entries of a map that belongs to `owner`.
pub(crate) fn deep_copy(map: &MapObject, owner: &Owned, memo: &Owned) -> Result<Copied, ErrorSet> {
    let _nested = RecursionGuard::walking(c" while copying a Map")?;
    let mut copy = DeepCopy::new(memo)?;
    let rewritten = map.trie().rewritten(&mut copy)?;
    if let Some(earlier) = copy.known(owner.as_ptr())? {
        return Ok(Copied::Earlier(earlier));
    }
    if copy.new_keys.is_empty() {
        return Ok(Copied::Now(rewritten));
    }
    let mut entries = Entries::default();
    let mut new_keys = copy.new_keys.into_iter().peekable();
    for (_, EntryOf::<PyHeap> { key, value }) in &rewritten {
        let new_key = new_keys.next_if(|(old, _)| old.is(key));
        let key = new_key.map_or_else(|| key.clone(), |(_, new)| new);
        entries.push(key, value.clone())?;
    }
    entries.into_map().map(Copied::Now)
}

/// A new dict of the entries.
pub(super) fn to_dict(map: &MapObject) -> Result<Owned, ErrorSet> {
    let entries = Owned::dict()?;
    for (_, entry) in &*map.trie() {
        entries.set_item(&entry.key, &entry.value)?;
    }
    Ok(entries)
}

/// `Map` and a new dict of the entries.
///
/// In a cycle through a value, pickle calls this again for the map. In that second round it has
/// pickled the value already, and the map that it makes then is the one that the first round uses.
fn reduce(map: &MapObject) -> Result<Owned, ErrorSet> {
    Owned::tuple([&types::MAP.object(), &Owned::tuple([&to_dict(map)?])?])
}

pub(super) fn methods() -> Vec<Method<MapObject>> {
    vec![
        Method::without_arguments(
            c"copy",
            copy,
            c"copy($self, /)\n--\n\n\
            Return this map itself, since it is immutable. O(1).\n\n\
            >>> import ctxvars\n\
            >>> m = ctxvars.Map(a=1)\n\
            >>> m.copy() is m\n\
            True",
        ),
        Method::without_arguments(
            c"__copy__",
            copy,
            c"__copy__($self, /)\n--\n\nReturn this map itself, since it is immutable. O(1).",
        ),
        Method::one(
            c"__deepcopy__",
            deepcopy,
            c"__deepcopy__($self, memo, /)\n--\n\n\
            Return a map of deep copies, or this map itself if the copies are the same objects.\n\n\
            O(n). One call of deepcopy() visits parts that several maps share only once, unless it\n\
            has to copy them.",
        ),
        Method::without_arguments(
            c"__reduce__",
            reduce,
            c"__reduce__($self, /)\n--\n\n\
            Return the constructor and its arguments, for pickle. O(n).\n\n\
            >>> import ctxvars, pickle\n\
            >>> pickle.loads(pickle.dumps(ctxvars.Map(a=1)))\n\
            ctxvars.Map({'a': 1})",
        ),
    ]
}
