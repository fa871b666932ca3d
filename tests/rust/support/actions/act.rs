//! Runs a step of a program on maps.

use super::items::{Call, Id, Key, user_code, v};
use super::{Action, Changed, Hashes, Maps, Pair, Seen, Value, added, mixed, resolved};
use ctxvars::HashTrieMap;
use ctxvars::hash_trie_map::{Change, Conflict, Entry};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};
use std::mem::take;

/// An iterator over entries that may panic.
fn made(pairs: &[Pair]) -> impl Iterator<Item = (Key, Value)> {
    pairs.iter().map(|pair| {
        user_code(Call::Next);
        (pair.key(), pair.value())
    })
}

fn pair_of((key, value): (Key, Value)) -> Pair {
    Pair { id: key.id(), copy: key.copy(), value: value.get() }
}

fn add_to(value: &mut Value, add: u8) {
    user_code(Call::Function);
    value.set(added(value.get(), add));
}

fn hash_of<S: Hashes>(map: &HashTrieMap<Key, Value, S>) -> u64 {
    let mut hasher = DefaultHasher::new();
    map.hash(&mut hasher);
    hasher.finish()
}

fn changed(change: &Change<'_, Key, Value>) -> Changed {
    let (key, old, new) = match *change {
        Change::Added { key, value } => (key, None, Some(value)),
        Change::Removed { key, value } => (key, Some(value), None),
        Change::Changed { key, old, new } => (key, Some(old), Some(new)),
    };
    let [old, new] = [old, new].map(|value| value.map(Value::get));
    Changed { id: key.id(), copy: key.copy(), old, new }
}

impl Action {
    /// Runs this step. User code in it may panic.
    pub(crate) fn act<S: Hashes>(&self, maps: &mut Maps<S>) -> Seen {
        let below_of = |below: u8| {
            move |_: &Key, value: &Value| {
                user_code(Call::Function);
                value.get() < below
            }
        };
        match *self {
            Self::Insert { map, pair } => {
                let old = maps[map.0].insert(pair.key(), pair.value());
                Seen::Value(old.map(|value| value.get()))
            }
            Self::Update { map, pair, to } => {
                maps[to.0] = maps[map.0].update(pair.key(), pair.value());
                Seen::Nothing
            }
            Self::Remove { map, pair } => {
                let removed = maps[map.0].remove(&Id(pair.id));
                Seen::Value(removed.map(|value| value.get()))
            }
            Self::RemoveEntry { map, pair } => {
                Seen::Pair(maps[map.0].remove_entry(&Id(pair.id)).map(pair_of))
            }
            Self::Without { map, pair, to } => {
                let rest = maps[map.0].without(&Id(pair.id));
                let shares = rest.ptr_eq(&maps[map.0]);
                maps[to.0] = rest;
                Seen::Shares(shares)
            }
            Self::GetMut { map, pair } => {
                let value = maps[map.0].get_mut(&Id(pair.id));
                Seen::Value(value.map(|value| {
                    let old = value.get();
                    value.set(pair.value);
                    old
                }))
            }
            Self::Alter { map, pair, to } => {
                let mut before = None;
                let altered = maps[map.0].alter(pair.key(), |value| {
                    user_code(Call::Function);
                    before = value.map(Value::get);
                    (pair.value != 0).then(|| pair.value())
                });
                maps[to.0] = altered;
                Seen::Value(before)
            }
            Self::EntryOrInsert { map, pair } => {
                let value = maps[map.0].entry(pair.key()).or_insert_with(|| {
                    user_code(Call::Function);
                    pair.value()
                });
                Seen::Value(Some(value.get()))
            }
            Self::EntryAndModify { map, pair } => {
                let entry = maps[map.0].entry(pair.key());
                let entry = entry.and_modify(|value| add_to(value, pair.value));
                let value = entry.or_insert_with_key(|key| {
                    assert_eq!(key.id(), pair.id);
                    user_code(Call::Function);
                    pair.value()
                });
                Seen::Value(Some(value.get()))
            }
            Self::EntryInsert { map, pair } => match maps[map.0].entry(pair.key()) {
                Entry::Occupied(mut entry) => {
                    let old = entry.insert(pair.value()).get();
                    assert_eq!(entry.get().get(), pair.value);
                    assert_eq!(entry.into_mut().get(), pair.value);
                    Seen::Value(Some(old))
                }
                Entry::Vacant(entry) => {
                    assert_eq!(entry.insert(pair.value()).get(), pair.value);
                    Seen::Value(None)
                }
            },
            Self::EntryInsertEntry { map, pair } => {
                let entry = maps[map.0].entry(pair.key()).insert_entry(pair.value());
                let (key, value) = (entry.key(), entry.get());
                Seen::Pair(Some(Pair { id: key.id(), copy: key.copy(), value: value.get() }))
            }
            Self::EntryRemove { map, pair } => match maps[map.0].entry(pair.key()) {
                Entry::Occupied(entry) => Seen::Pair(Some(pair_of(entry.remove_entry()))),
                Entry::Vacant(_) => Seen::Pair(None),
            },
            Self::EntryDrop { map, pair } => {
                let before = maps[map.0].clone();
                let entry = maps[map.0].entry(pair.key());
                let copy = entry.key().copy();
                if let Entry::Vacant(entry) = entry {
                    assert_eq!(entry.into_key().copy(), pair.copy);
                }
                assert!(maps[map.0].ptr_eq(&before), "looking for a place changes nothing");
                Seen::Number(copy.into())
            }
            Self::Extend { map, ref pairs } => {
                maps[map.0].extend(made(pairs));
                Seen::Nothing
            }
            Self::Fill { map, first, count } => {
                let pairs: Vec<Pair> = first.followed_by(count).collect();
                maps[map.0].extend(made(&pairs));
                Seen::Nothing
            }
            Self::ExtendByReference { map, other } => {
                let other = maps[other.0].clone();
                maps[map.0].extend(&other);
                Seen::Nothing
            }
            Self::Collect { ref pairs, to } => {
                maps[to.0] = made(pairs).collect();
                Seen::Nothing
            }
            Self::Clone { map, to } => {
                maps[to.0] = maps[map.0].clone();
                Seen::Shares(maps[to.0].ptr_eq(&maps[map.0]))
            }
            Self::Clear { map } => {
                maps[map.0].clear();
                Seen::Nothing
            }
            Self::Retain { map, below } => {
                maps[map.0].retain(|key, value| below_of(below)(key, value));
                Seen::Nothing
            }
            Self::Filter { map, below, to } => {
                let kept = maps[map.0].filter(below_of(below));
                let shares = kept.ptr_eq(&maps[map.0]);
                maps[to.0] = kept;
                Seen::Shares(shares)
            }
            Self::MapValues { map, add, to } => {
                maps[to.0] = maps[map.0].map_values(|value| {
                    user_code(Call::Function);
                    v(added(value.get(), add))
                });
                Seen::Nothing
            }
            Self::ValuesMut { map, add } => {
                let values = maps[map.0].values_mut();
                let count = values.len();
                values.for_each(|value| add_to(value, add));
                Seen::Number(count)
            }
            Self::IterMut { map, add } => {
                for (key, value) in &mut maps[map.0] {
                    if key.id() % 2 == 0 {
                        add_to(value, add);
                    }
                }
                Seen::Nothing
            }
            Self::IntoIter { map, below } => {
                let entries = take(&mut maps[map.0]).into_iter();
                let is_kept = |entry: &(Key, Value)| below_of(below)(&entry.0, &entry.1);
                maps[map.0] = entries.filter(is_kept).collect();
                Seen::Nothing
            }
            Self::Rebuild { map, to } => {
                let mut entries: Vec<_> = maps[map.0].clone().into_iter().collect();
                entries.reverse();
                let rebuilt = entries.into_iter().collect();
                let (is_equal, equals) = (rebuilt == maps[map.0], maps[map.0] == rebuilt);
                let hashes_alike = hash_of(&maps[map.0]) == hash_of(&rebuilt);
                maps[to.0] = rebuilt;
                Seen::Truth(is_equal && equals && hashes_alike)
            }
            Self::IntoIterPart { map, count } => {
                let mut entries = take(&mut maps[map.0]).into_iter();
                let all = entries.len();
                let taken: Vec<_> = entries.by_ref().take(count.into()).collect();
                assert_eq!(entries.len(), all - taken.len());
                Seen::Number(taken.len())
            }
            Self::Drain { map, count } => {
                let mut entries = maps[map.0].drain();
                let all = entries.len();
                let taken: Vec<_> = entries.by_ref().take(count.into()).collect();
                assert_eq!(entries.len(), all - taken.len());
                Seen::Number(taken.len())
            }
            Self::ExtractIf { map, below } => {
                let extracted = maps[map.0].extract_if(|key, value| below_of(below)(key, value));
                let mut extracted: Vec<u16> = extracted.map(|(key, _)| key.id()).collect();
                extracted.sort_unstable();
                Seen::Ids(extracted)
            }
            Self::Union { map, other, to } => {
                let union = maps[map.0].union(&maps[other.0]);
                let shares = union.ptr_eq(&maps[map.0]);
                maps[to.0] = union;
                Seen::Shares(shares)
            }
            Self::UnionWith { map, other, to } => {
                maps[to.0] = maps[map.0].union_with(&maps[other.0], |_, a, b| {
                    user_code(Call::Function);
                    v(mixed(a.get(), b.get()))
                });
                Seen::Nothing
            }
            Self::Intersection { map, other, to } => {
                let common = maps[map.0].intersection(&maps[other.0]);
                let shares = common.ptr_eq(&maps[map.0]);
                maps[to.0] = common;
                Seen::Shares(shares)
            }
            Self::IntersectionWith { map, other, to } => {
                maps[to.0] = maps[map.0].intersection_with(&maps[other.0], |_, a, b| {
                    user_code(Call::Function);
                    v(mixed(a.get(), b.get()))
                });
                Seen::Nothing
            }
            Self::Difference { map, other, to } => {
                let rest = maps[map.0].difference(&maps[other.0]);
                let shares = rest.ptr_eq(&maps[map.0]);
                maps[to.0] = rest;
                Seen::Shares(shares)
            }
            Self::SymmetricDifference { map, other, to } => {
                maps[to.0] = maps[map.0].symmetric_difference(&maps[other.0]);
                Seen::Nothing
            }
            Self::Merge { base, ours, theirs, to } => {
                let mut conflicts = Vec::new();
                let resolve = |Conflict { key, base, ours, theirs }: Conflict<'_, Key, Value>| {
                    user_code(Call::Function);
                    let values = [base, ours, theirs].map(|value| value.map(Value::get));
                    conflicts.push((key.id(), values));
                    resolved(values).map(v)
                };
                maps[to.0] = maps[base.0].merge(&maps[ours.0], &maps[theirs.0], resolve);
                conflicts.sort_unstable();
                Seen::Conflicts(conflicts)
            }
            Self::IsSubmap { map, other } => Seen::Truth(maps[map.0].is_submap(&maps[other.0])),
            Self::Equal { map, other } => Seen::Truth(maps[map.0] == maps[other.0]),
            Self::Hash { map, other } => {
                Seen::Truth(hash_of(&maps[map.0]) == hash_of(&maps[other.0]))
            }
            Self::Diff { map, other } => {
                let changes = maps[map.0].diff(&maps[other.0]);
                let mut changes: Vec<Changed> = changes.iter().map(changed).collect();
                changes.sort_unstable();
                Seen::Changes(changes)
            }
            Self::Get { map, pair } => {
                let map = &maps[map.0];
                let found = map.get_key_value(&Id(pair.id));
                assert_eq!(map.contains_key(&Id(pair.id)), found.is_some());
                Seen::Pair(found.map(|(key, value)| Pair {
                    id: key.id(),
                    copy: key.copy(),
                    value: value.get(),
                }))
            }
        }
    }
}
