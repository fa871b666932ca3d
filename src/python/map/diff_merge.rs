//! `diff`, `apply` and `merge`.

use super::entries;
use super::key::ByEquality;
use super::py_heap::{MapObject, PyHeap};
use crate::map::{Conflict, EntryOf, Trie};
use crate::python::context::token;
use crate::python::interpreter::{
    ErrorSet, Exception, Method, Owned, RecursionGuard, TypedObject as _, exactly, lazy_import,
    module_function, name, raise, type_object,
};

/// The `MapDiff` between two maps.
pub(crate) fn diff_of(old: &Trie<PyHeap>, new: &Trie<PyHeap>) -> Result<Owned, ErrorSet> {
    let pair = |old: &Owned, new: &Owned| Owned::tuple([old, new]);
    let diff = old.diff(new, &mut ByEquality::default(), pair)?;
    let [added, removed, changed] =
        [diff.added, diff.removed, diff.changed].map(MapObject::from_trie);
    lazy_import::MAP_DIFF.get()?.call([&*added, &*removed, &*changed])
}

fn diff(map: &MapObject, other: &Owned) -> Result<Owned, ErrorSet> {
    let message = c"diff() argument 'other' must be a mapping, got %R";
    diff_of(&map.trie(), &entries::mapping(other, message)?)
}

/// The attribute of a `MapDiff`, which is a `Map`.
fn part(diff: &Owned, name: &Owned) -> Result<Trie<PyHeap>, ErrorSet> {
    let message = c"apply() argument 'diff' must consist of maps, got %R";
    entries::mapping(&diff.attribute(name)?, message)
}

fn apply(map: &MapObject, diff: &Owned) -> Result<Owned, ErrorSet> {
    if !diff.is_instance(lazy_import::MAP_DIFF.get()?)? {
        let message = c"apply() argument 'diff' must be a MapDiff, got %R";
        return Err(raise(Exception::TypeError, message, diff));
    }
    let nested = RecursionGuard::walking(c" while applying a MapDiff")?;
    let mut compare = ByEquality::within(nested);
    let new_value = |entry: &EntryOf<PyHeap>| entry.value.item_at(1).map(Some);
    let changed = part(diff, name!("changed"))?.map_entries(new_value)?;
    let applied = map
        .trie()
        .difference(&part(diff, name!("removed"))?, &mut compare)?
        .union(&part(diff, name!("added"))?, &mut compare)?
        .union(&changed, &mut compare)?;
    Ok(MapObject::from_trie(applied).into_owned())
}

/// The way in which a merge treats conflicts.
pub(crate) struct Conflicts<'a> {
    /// `resolve(key, base, ours, theirs)`, or `None`.
    resolve: &'a Owned,
    missing: &'static Owned,
    /// A list of the conflicts, if there is no `resolve`.
    pub(crate) unresolved: Owned,
}

impl<'a> Conflicts<'a> {
    pub(crate) fn new(resolve: &'a Owned) -> Result<Self, ErrorSet> {
        Ok(Self { resolve, missing: token::missing(), unresolved: Owned::list()? })
    }

    pub(crate) fn has_resolver(&self) -> bool {
        !self.resolve.is_none()
    }

    /// The value to keep, `None` if there is to be none.
    pub(crate) fn resolve(&self, entries: Conflict<'_, PyHeap>) -> Result<Option<Owned>, ErrorSet> {
        let Some(entry) = entries.iter().flatten().next() else { return Ok(None) };
        let value = |entry: Option<&'_ EntryOf<PyHeap>>| match entry {
            Some(entry) => entry.value.clone(),
            None => self.missing.clone(),
        };
        let [base, ours, theirs] = entries.map(value);
        let arguments = [&entry.key, &base, &ours, &theirs];
        if !self.has_resolver() {
            self.unresolved.append(&Owned::tuple(arguments)?)?;
            return Ok(None);
        }
        let value = self.resolve.call(arguments)?;
        Ok((!value.is(self.missing)).then_some(value))
    }
}

/// `merge(base, ours, theirs, resolve)`: the merged map, and a list of the conflicts, which the map
/// leaves out, if `resolve` is `None`.
fn merge(arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [base, ours, theirs, resolve] = exactly(c"merge", arguments)?;
    let base = entries::mapping(base, c"merge() argument 'base' must be a mapping, got %R")?;
    let ours = entries::mapping(ours, c"merge() argument 'ours' must be a mapping, got %R")?;
    let theirs = entries::mapping(theirs, c"merge() argument 'theirs' must be a mapping, got %R")?;
    let conflicts = Conflicts::new(resolve)?;
    let mut compare = ByEquality::within(RecursionGuard::walking(c" while merging maps")?);
    let merged = base.merge(&ours, &theirs, &mut compare, |it| conflicts.resolve(it))?;
    Owned::tuple([&*MapObject::from_trie(merged), &conflicts.unresolved])
}

/// The function `merge`, which `ctxvars.merge` wraps.
pub(crate) fn merge_function(module: &Owned) -> Result<Owned, ErrorSet> {
    let doc = c"merge($module, base, ours, theirs, resolve, /)\n--\n\n\
        Return the merged map and a list of the conflicts.";
    type_object::function(module, module_function(c"merge", merge, doc))
}

pub(super) fn methods() -> Vec<Method<MapObject>> {
    vec![
        Method::one(
            c"diff",
            diff,
            c"diff($self, other, /)\n--\n\n\
            Return the MapDiff that leads from this map to another mapping.\n\n\
            Values are compared by identity, then by ==. O(changes x log n) if the other is a Map\n\
            that shares parts with this one.\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Map(a=1, b=2).diff(ctxvars.Map(a=1, c=3)).added\n\
            ctxvars.Map({'c': 3})",
        ),
        Method::one(
            c"apply",
            apply,
            c"apply($self, diff, /)\n--\n\n\
            Return the map with the changes of a MapDiff: a.apply(a.diff(b)) == b.\n\n\
            Keys that the diff adds or changes get their new values, and keys that it removes are\n\
            discarded, whatever values this map has for them. Raise TypeError if the argument is not\n\
            a MapDiff. O(changes x log n).\n\n\
            >>> import ctxvars\n\
            >>> change = ctxvars.Map(a=1).diff(ctxvars.Map(a=2))\n\
            >>> ctxvars.Map(a=1, b=5).apply(change) == {'a': 2, 'b': 5}\n\
            True",
        ),
    ]
}
