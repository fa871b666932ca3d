//! Runs a step of a program on models of the maps, by the definition of each operation.

use super::{Action, COPIES, Changed, IDS, MAPS, Pair, Seen, Versions, added, mixed, resolved};
use std::collections::BTreeMap;

/// The content of a map: the copy of each key and the value, by the id of the key.
pub(crate) type Model = BTreeMap<u16, (u8, u8)>;

pub(crate) type Models = [Model; MAPS];

/// The copy number of keys whose copy does not matter.
pub(crate) const ANY: u8 = COPIES;

/// Sets the value of a key; a stored copy of the key stays.
fn put(model: &mut Model, pair: Pair) -> Option<u8> {
    let Some(entry) = model.get_mut(&pair.id) else {
        model.insert(pair.id, (pair.copy, pair.value));
        return None;
    };
    Some(std::mem::replace(&mut entry.1, pair.value))
}

/// Sets the value of each key.
fn put_all(model: &mut Model, pairs: impl IntoIterator<Item = Pair>) -> Seen {
    for pair in pairs {
        put(model, pair);
    }
    Seen::Nothing
}

/// The values of a key in several models.
fn values<const N: usize>(models: [&Model; N], id: u16) -> [Option<u8>; N] {
    models.map(|model| model.get(&id).map(|entry| entry.1))
}

/// Whether two models have equal keys and values, whatever the copies of the keys.
fn equal(a: &Model, b: &Model) -> bool {
    let values = |model: &Model| model.iter().map(|(&id, entry)| (id, entry.1)).collect::<Vec<_>>();
    values(a) == values(b)
}

/// The ids in all models.
fn ids<const N: usize>(models: [&Model; N]) -> impl Iterator<Item = u16> {
    let all: BTreeMap<u16, ()> =
        models.iter().flat_map(|model| model.keys().map(|&id| (id, ()))).collect();
    all.into_keys()
}

/// The entries of `model` for whose id and value `is_kept` is true.
fn kept(model: &Model, is_kept: impl Fn(u16, u8) -> bool) -> Model {
    let entries = model.iter().filter(|(id, entry)| is_kept(**id, entry.1));
    entries.map(|(&id, &entry)| (id, entry)).collect()
}

fn merged(models: [&Model; 3]) -> (Model, Vec<(u16, Versions)>) {
    let (mut result, mut conflicts) = (Model::new(), Vec::new());
    for id in ids(models) {
        let all @ [base, ours, theirs] = values(models, id);
        let value = if ours == theirs || base == theirs {
            ours
        } else if base == ours {
            theirs
        } else {
            conflicts.push((id, all));
            resolved(all)
        };
        result.extend(value.map(|value| (id, (ANY, value))));
    }
    (result, conflicts)
}

impl Pair {
    /// This many pairs, with consecutive ids.
    pub(crate) fn followed_by(self, count: u8) -> impl Iterator<Item = Pair> {
        (0..u16::from(count)).map(move |step| Pair { id: (self.id + step) % IDS, ..self })
    }
}

impl Action {
    /// Runs this step on models, and returns the expected result.
    pub(crate) fn expected(&self, models: &mut Models) -> Seen {
        match *self {
            Self::Insert { map, pair } | Self::EntryInsert { map, pair } => {
                Seen::Value(put(&mut models[map.0], pair))
            }
            Self::Update { map, pair, to } => {
                let mut updated = models[map.0].clone();
                put(&mut updated, pair);
                models[to.0] = updated;
                Seen::Nothing
            }
            Self::Remove { map, pair } => {
                Seen::Value(models[map.0].remove(&pair.id).map(|entry| entry.1))
            }
            Self::EntryInsertEntry { map, pair } => {
                put(&mut models[map.0], pair);
                let (copy, value) = models[map.0][&pair.id];
                Seen::Pair(Some(Pair { copy, value, ..pair }))
            }
            Self::RemoveEntry { map, pair } | Self::EntryRemove { map, pair } => {
                let removed = models[map.0].remove(&pair.id);
                Seen::Pair(removed.map(|(copy, value)| Pair { copy, value, ..pair }))
            }
            Self::Without { map, pair, to } => {
                let mut rest = models[map.0].clone();
                let removed = rest.remove(&pair.id);
                models[to.0] = rest;
                Seen::Shares(removed.is_none())
            }
            Self::GetMut { map, pair } => {
                let entry = models[map.0].get_mut(&pair.id);
                Seen::Value(entry.map(|entry| std::mem::replace(&mut entry.1, pair.value)))
            }
            Self::Alter { map, pair, to } => {
                let mut altered = models[map.0].clone();
                let before = if pair.value == 0 {
                    altered.remove(&pair.id).map(|entry| entry.1)
                } else {
                    put(&mut altered, pair)
                };
                models[to.0] = altered;
                Seen::Value(before)
            }
            Self::EntryOrInsert { map, pair } => {
                let entry = models[map.0].entry(pair.id).or_insert((pair.copy, pair.value));
                Seen::Value(Some(entry.1))
            }
            Self::EntryAndModify { map, pair } => {
                let entry = models[map.0].entry(pair.id);
                let entry = entry.and_modify(|entry| entry.1 = added(entry.1, pair.value));
                Seen::Value(Some(entry.or_insert((pair.copy, pair.value)).1))
            }
            Self::EntryDrop { map, pair } => {
                let copy = models[map.0].get(&pair.id).map_or(pair.copy, |entry| entry.0);
                Seen::Number(copy.into())
            }
            Self::Extend { map, ref pairs } => put_all(&mut models[map.0], pairs.iter().copied()),
            Self::Fill { map, first, count } => {
                put_all(&mut models[map.0], first.followed_by(count))
            }
            Self::ExtendByReference { map, other } => {
                let other = models[other.0].clone().into_iter();
                let pairs = other.map(|(id, (copy, value))| Pair { id, copy, value });
                put_all(&mut models[map.0], pairs)
            }
            Self::Collect { ref pairs, to } => {
                models[to.0].clear();
                put_all(&mut models[to.0], pairs.iter().copied())
            }
            Self::Clone { map, to } => {
                models[to.0] = models[map.0].clone();
                Seen::Shares(true)
            }
            Self::Clear { map } => {
                models[map.0].clear();
                Seen::Nothing
            }
            Self::Retain { map, below } => {
                models[map.0].retain(|_, entry| entry.1 < below);
                Seen::Nothing
            }
            Self::Filter { map, below, to } => {
                let kept = kept(&models[map.0], |_, value| value < below);
                let shares = kept.len() == models[map.0].len();
                models[to.0] = kept;
                Seen::Shares(shares)
            }
            Self::MapValues { map, add, to } => {
                let mut changed = models[map.0].clone();
                changed.values_mut().for_each(|entry| entry.1 = added(entry.1, add));
                models[to.0] = changed;
                Seen::Nothing
            }
            Self::ValuesMut { map, add } => {
                models[map.0].values_mut().for_each(|entry| entry.1 = added(entry.1, add));
                Seen::Number(models[map.0].len())
            }
            Self::IterMut { map, add } => {
                let even = models[map.0].iter_mut().filter(|(id, _)| *id % 2 == 0);
                even.for_each(|(_, entry)| entry.1 = added(entry.1, add));
                Seen::Nothing
            }
            Self::IntoIter { map, below } => {
                models[map.0].retain(|_, entry| entry.1 < below);
                Seen::Nothing
            }
            Self::Rebuild { map, to } => {
                models[to.0] = models[map.0].clone();
                Seen::Truth(true)
            }
            Self::IntoIterPart { map, count } | Self::Drain { map, count } => {
                let all = std::mem::take(&mut models[map.0]).len();
                Seen::Number(all.min(count.into()))
            }
            Self::ExtractIf { map, below } => {
                let extracted = kept(&models[map.0], |_, value| value < below);
                models[map.0].retain(|_, entry| entry.1 >= below);
                Seen::Ids(extracted.into_keys().collect())
            }
            Self::Union { map, other, to } => {
                let mut union = models[other.0].clone();
                union.extend(models[map.0].clone());
                let shares = union.len() == models[map.0].len();
                models[to.0] = union;
                Seen::Shares(shares)
            }
            Self::UnionWith { map, other, to } => {
                let mut union = models[other.0].clone();
                for (&id, &(copy, value)) in &models[map.0] {
                    let theirs = models[other.0].get(&id).map(|entry| entry.1);
                    union.insert(id, (copy, theirs.map_or(value, |theirs| mixed(value, theirs))));
                }
                models[to.0] = union;
                Seen::Nothing
            }
            Self::Intersection { map, other, to } => {
                let common = kept(&models[map.0], |id, _| models[other.0].contains_key(&id));
                let shares = common.len() == models[map.0].len();
                models[to.0] = common;
                Seen::Shares(shares)
            }
            Self::IntersectionWith { map, other, to } => {
                let mut common = kept(&models[map.0], |id, _| models[other.0].contains_key(&id));
                for (id, entry) in &mut common {
                    entry.1 = mixed(entry.1, models[other.0][id].1);
                }
                models[to.0] = common;
                Seen::Nothing
            }
            Self::Difference { map, other, to } => {
                let rest = kept(&models[map.0], |id, _| !models[other.0].contains_key(&id));
                let shares = rest.len() == models[map.0].len();
                models[to.0] = rest;
                Seen::Shares(shares)
            }
            Self::SymmetricDifference { map, other, to } => {
                let mut rest = kept(&models[map.0], |id, _| !models[other.0].contains_key(&id));
                rest.extend(kept(&models[other.0], |id, _| !models[map.0].contains_key(&id)));
                models[to.0] = rest;
                Seen::Nothing
            }
            Self::Merge { base, ours, theirs, to } => {
                let (result, conflicts) = merged([base, ours, theirs].map(|map| &models[map.0]));
                models[to.0] = result;
                Seen::Conflicts(conflicts)
            }
            Self::IsSubmap { map, other } => {
                let there = |(id, entry): (&u16, &(u8, u8))| {
                    models[other.0].get(id).is_some_and(|other| other.1 == entry.1)
                };
                Seen::Truth(models[map.0].iter().all(there))
            }
            Self::Equal { map, other } | Self::Hash { map, other } => {
                Seen::Truth(equal(&models[map.0], &models[other.0]))
            }
            Self::Diff { map, other } => {
                let both = [&models[map.0], &models[other.0]];
                let mut changes = Vec::new();
                for id in ids(both) {
                    let [old, new] = values(both, id);
                    let entry = both[0].get(&id).or(both[1].get(&id));
                    let copy = entry.map_or(ANY, |entry| entry.0);
                    if old != new {
                        changes.push(Changed { id, copy, old, new });
                    }
                }
                Seen::Changes(changes)
            }
            Self::Get { map, pair } => {
                let found = models[map.0].get(&pair.id);
                Seen::Pair(found.map(|&(copy, value)| Pair { copy, value, ..pair }))
            }
        }
    }
}
