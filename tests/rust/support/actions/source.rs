//! Prints a program as code. The output of a failing test or fuzz target can be pasted into a test and
//! reduced by hand.

use super::{Action, Pair, Program, Slot};
use std::fmt;

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "maps[{}]", self.0)
    }
}

/// A key and a value, printed as arguments.
impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}", self.key(), self.value())
    }
}

fn array(pairs: impl IntoIterator<Item = Pair>) -> String {
    let pairs: Vec<String> = pairs.into_iter().map(|pair| format!("({pair})")).collect();
    format!("[{}]", pairs.join(", "))
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let add = |add: u8| format!("*value = v(added(value.get(), {add}))");
        let mix = "|_, a, b| v(mixed(a.get(), b.get()))";
        match self {
            Self::Insert { map, pair } => write!(f, "{map:?}.insert({pair});"),
            Self::Update { map, pair, to } => write!(f, "{to:?} = {map:?}.update({pair});"),
            Self::Remove { map, pair } => write!(f, "{map:?}.remove(&Id({}));", pair.id),
            Self::RemoveEntry { map, pair } => {
                write!(f, "{map:?}.remove_entry(&Id({}));", pair.id)
            }
            Self::Without { map, pair, to } => {
                write!(f, "{to:?} = {map:?}.without(&Id({}));", pair.id)
            }
            Self::GetMut { map, pair } => {
                writeln!(f, "if let Some(value) = {map:?}.get_mut(&Id({})) {{", pair.id)?;
                write!(f, "    value.set({});\n}}", pair.value)
            }
            Self::Alter { map, pair, to } => {
                let value = (pair.value != 0).then(|| pair.value());
                write!(f, "{to:?} = {map:?}.alter({:?}, |_| {value:?});", pair.key())
            }
            Self::EntryOrInsert { map, pair } => {
                let value = pair.value();
                write!(f, "{map:?}.entry({:?}).or_insert_with(|| {value:?});", pair.key())
            }
            Self::EntryAndModify { map, pair } => {
                let (key, value, add) = (pair.key(), pair.value(), add(pair.value));
                let or = format!("or_insert_with_key(|_| {value:?})");
                write!(f, "{map:?}.entry({key:?}).and_modify(|value| {add}).{or};")
            }
            Self::EntryInsert { map, pair } => {
                let (key, value) = (pair.key(), pair.value());
                writeln!(f, "match {map:?}.entry({key:?}) {{")?;
                writeln!(f, "    Entry::Occupied(mut entry) => drop(entry.insert({value:?})),")?;
                writeln!(f, "    Entry::Vacant(entry) => drop(entry.insert({value:?}).clone()),")?;
                write!(f, "}}")
            }
            Self::EntryInsertEntry { map, pair } => {
                let (key, value) = (pair.key(), pair.value());
                write!(f, "let _ = {map:?}.entry({key:?}).insert_entry({value:?});")
            }
            Self::EntryRemove { map, pair } => {
                let key = pair.key();
                writeln!(f, "if let Entry::Occupied(entry) = {map:?}.entry({key:?}) {{")?;
                writeln!(f, "    entry.remove_entry();")?;
                write!(f, "}}")
            }
            Self::EntryDrop { map, pair } => write!(f, "drop({map:?}.entry({:?}));", pair.key()),
            Self::Extend { map, pairs } => {
                write!(f, "{map:?}.extend({});", array(pairs.iter().copied()))
            }
            Self::Fill { map, first, count } => {
                write!(f, "{map:?}.extend({});", array(first.followed_by(*count)))
            }
            Self::ExtendByReference { map, other } => {
                write!(f, "let other = {other:?}.clone();\n{map:?}.extend(&other);")
            }
            Self::Collect { pairs, to } => {
                let pairs = array(pairs.iter().copied());
                write!(f, "{to:?} = {pairs}.into_iter().collect();")
            }
            Self::Clone { map, to } => write!(f, "{to:?} = {map:?}.clone();"),
            Self::Clear { map } => write!(f, "{map:?}.clear();"),
            Self::Retain { map, below } => {
                write!(f, "{map:?}.retain(|_, value| value.get() < {below});")
            }
            Self::Filter { map, below, to } => {
                write!(f, "{to:?} = {map:?}.filter(|_, value| value.get() < {below});")
            }
            Self::MapValues { map, add, to } => {
                let make = format!("v(added(value.get(), {add}))");
                write!(f, "{to:?} = {map:?}.map_values(|value| {make});")
            }
            Self::ValuesMut { map, add: step } => {
                write!(f, "{map:?}.values_mut().for_each(|value| {});", add(*step))
            }
            Self::IterMut { map, add: step } => {
                let even = "filter(|(key, _)| key.id() % 2 == 0)";
                let step = add(*step);
                write!(f, "{map:?}.iter_mut().{even}.for_each(|(_, value)| {step});")
            }
            Self::IntoIter { map, below } => {
                let keep = format!("filter(|(_, value)| value.get() < {below})");
                write!(f, "{map:?} = take(&mut {map:?}).into_iter().{keep}.collect();")
            }
            Self::Rebuild { map, to } => {
                let entries = format!("{map:?}.clone().into_iter().collect::<Vec<_>>()");
                writeln!(f, "{to:?} = {entries}.into_iter().rev().collect();")?;
                write!(f, "assert_eq!({map:?}, {to:?});")
            }
            Self::IntoIterPart { map, count } => {
                write!(f, "take(&mut {map:?}).into_iter().take({count}).for_each(drop);")
            }
            Self::Drain { map, count } => {
                write!(f, "{map:?}.drain().take({count}).for_each(drop);")
            }
            Self::ExtractIf { map, below } => {
                let condition = format!("|_, value| value.get() < {below}");
                write!(f, "{map:?}.extract_if({condition}).for_each(drop);")
            }
            Self::Union { map, other, to } => write!(f, "{to:?} = {map:?}.union(&{other:?});"),
            Self::UnionWith { map, other, to } => {
                write!(f, "{to:?} = {map:?}.union_with(&{other:?}, {mix});")
            }
            Self::Intersection { map, other, to } => {
                write!(f, "{to:?} = {map:?}.intersection(&{other:?});")
            }
            Self::IntersectionWith { map, other, to } => {
                write!(f, "{to:?} = {map:?}.intersection_with(&{other:?}, {mix});")
            }
            Self::Difference { map, other, to } => {
                write!(f, "{to:?} = {map:?}.difference(&{other:?});")
            }
            Self::SymmetricDifference { map, other, to } => {
                write!(f, "{to:?} = {map:?}.symmetric_difference(&{other:?});")
            }
            Self::Merge { base, ours, theirs, to } => {
                let resolve = "|it| resolved([it.base, it.ours, it.theirs]\
                               .map(|value| value.map(Value::get))).map(v)";
                write!(f, "{to:?} = {base:?}.merge(&{ours:?}, &{theirs:?}, {resolve});")
            }
            Self::IsSubmap { map, other } => write!(f, "{map:?}.is_submap(&{other:?});"),
            Self::Equal { map, other } => write!(f, "let _ = {map:?} == {other:?};"),
            Self::Hash { map, other } => {
                let hash = |map| format!("Bits::<64>.hash_one(&{map:?})");
                write!(f, "let _ = {} == {};", hash(map), hash(other))
            }
            Self::Diff { map, other } => write!(f, "drop({map:?}.diff(&{other:?}));"),
            Self::Get { map, pair } => write!(f, "{map:?}.get_key_value(&Id({}));", pair.id),
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{{")?;
        writeln!(f, "    let mut maps = maps::<{}>();", self.hashing)?;
        for action in &self.actions {
            for line in format!("{action:?}").lines() {
                writeln!(f, "    {line}")?;
            }
        }
        writeln!(f, "    maps.iter().for_each(HashTrieMap::check_invariants);")?;
        write!(f, "}}")
    }
}
