//! `diff`, `apply` and `merge`.

use super::entries;
use super::key::ByEquality;
use super::py_heap::{MapObject, PyHeap};
use crate::map::{Compare, Conflict, EntryOf, Trie};
use crate::python::context::token;
use crate::python::interpreter::error::raise_value_as;
use crate::python::interpreter::{
    Arguments, ErrorSet, Exception, Method, Owned, RecursionGuard, TypedObject as _, exactly,
    lazy_import, name, raise,
};

/// The `MapDiff` between two maps.
pub(crate) fn diff_of(
    old: &Trie<PyHeap>,
    new: &Trie<PyHeap>,
    compare: &mut impl Compare<PyHeap>,
) -> Result<Owned, ErrorSet> {
    let pair = |old: &Owned, new: &Owned| Owned::tuple([old, new]);
    let diff = old.diff(new, compare, pair)?;
    let [added, removed, changed] =
        [diff.added, diff.removed, diff.changed].map(MapObject::from_trie);
    lazy_import::MAP_DIFF.get()?.call([&*added, &*removed, &*changed])
}

fn diff(map: &MapObject, other: &Owned) -> Result<Owned, ErrorSet> {
    let message = c"diff() argument 'other' must be a mapping, got %R";
    diff_of(&map.trie(), &entries::mapping(other, message)?, &mut ByEquality::default())
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
        .updated(&part(diff, name!("added"))?, &mut compare)?
        .updated(&changed, &mut compare)?;
    Ok(MapObject::from_trie(applied).into_owned())
}

/// The way in which a merge treats conflicts.
pub(crate) struct Conflicts<'a> {
    /// `resolve(key, base, ours, theirs)`, or `None`.
    resolve: &'a Owned,
    missing: &'static Owned,
    /// A list of the conflicts, if there is no `resolve`.
    unresolved: Owned,
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

    /// Raises `MergeConflict` if any conflict is unresolved.
    pub(crate) fn check(&self) -> Result<(), ErrorSet> {
        if self.unresolved.length()? == 0 {
            return Ok(());
        }
        let error = lazy_import::MERGE_CONFLICT_OF.get()?.call_one(&self.unresolved)?;
        Err(raise_value_as(error.type_object(), &error))
    }
}

/// `base.merge(ours, theirs, *, resolve=None)`
fn merge(base: &MapObject, arguments: Arguments<'_>) -> Result<Owned, ErrorSet> {
    let [ours, theirs] = exactly(c"merge", arguments.positional)?;
    let none = Owned::none();
    let resolve = arguments.keyword(c"merge", c"resolve")?.unwrap_or(&none);
    if !resolve.is_none() && !resolve.is_callable() {
        let message = c"merge() argument 'resolve' must be callable, got %R";
        return Err(raise(Exception::TypeError, message, resolve));
    }
    let ours = entries::mapping(ours, c"merge() argument 'ours' must be a mapping, got %R")?;
    let theirs = entries::mapping(theirs, c"merge() argument 'theirs' must be a mapping, got %R")?;
    let conflicts = Conflicts::new(resolve)?;
    let mut compare = ByEquality::within(RecursionGuard::walking(c" while merging maps")?);
    let merged = base.trie().merge(&ours, &theirs, &mut compare, |it| conflicts.resolve(it))?;
    let merged = MapObject::from_trie(merged);
    conflicts.check()?;
    Ok(merged.into_owned())
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
        Method::keywords(
            c"merge",
            merge,
            c"merge($self, ours, theirs, /, *, resolve=None)\n--\n\n\
            Return this map with the changes that lead to two others.\n\n\
            Both are mappings made from this map, or from one like it. A key that both have changed\n\
            in different ways is a conflict. For each conflict, resolve(key, base, ours, theirs) is\n\
            called, with MISSING for a missing value. It returns the value to keep, or MISSING to\n\
            leave the key out. Without it, raise MergeConflict, which lists all conflicts.\n\n\
            Values are compared by identity, then by ==. O(changes x log n) between maps that share\n\
            parts.\n\n\
            >>> from ctxvars import Map\n\
            >>> base = Map(a=1, b=2)\n\
            >>> base.merge(base.set('a', 10), base.delete('b'))\n\
            ctxvars.Map({'a': 10})\n\
            >>> ours, theirs = base.set('a', 10), base.set('a', 20)\n\
            >>> base.merge(ours, theirs, resolve=lambda key, *values: max(values)) == theirs\n\
            True",
        ),
    ]
}
