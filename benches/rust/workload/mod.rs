//! The operations that are measured: the same code for all libraries, for times and instructions.

mod entries;

pub(crate) use entries::{Entries, Key};

use crate::peers::Subject;
use cpu_time::ThreadTime;
use std::cell::OnceCell;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

/// An operation on a map. Dropping its result is part of the measured time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    Get,
    Miss,
    SetExisting,
    SetNew,
    Remove,
    BuildInPlace,
    RemoveInPlace,
    /// Adds one to the value of each key, by the entry of the key.
    CountInPlace,
    /// Adds a tenth as many entries as there are.
    Extend,
    Collect,
    Iterate,
    /// Comparison with an equal map that was built from the same entries in another order.
    EqualApart,
    /// Comparison with an equal map that was derived by an edit and its inverse. A library that
    /// does not skip shared nodes has to visit all entries.
    EqualAfterEdit,
    /// Comparison with a map that was derived by an edit.
    DiffAfterEdit,
}

impl Operation {
    pub(crate) const ALL: [Self; 14] = [
        Self::Get,
        Self::Miss,
        Self::SetExisting,
        Self::SetNew,
        Self::Remove,
        Self::BuildInPlace,
        Self::RemoveInPlace,
        Self::CountInPlace,
        Self::Extend,
        Self::Collect,
        Self::Iterate,
        Self::EqualApart,
        Self::EqualAfterEdit,
        Self::DiffAfterEdit,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Miss => "get a missing key",
            Self::SetExisting => "set an existing key",
            Self::SetNew => "set a new key",
            Self::Remove => "remove",
            Self::BuildInPlace => "insert all in place",
            Self::RemoveInPlace => "remove all in place",
            Self::CountInPlace => "count all by entry",
            Self::Extend => "extend by a tenth",
            Self::Collect => "collect",
            Self::Iterate => "iterate",
            Self::EqualApart => "== of maps built apart",
            Self::EqualAfterEdit => "== after an edit and its undoing",
            Self::DiffAfterEdit => "diff after an edit",
        }
    }
}

/// A map of any library, with the arguments of its operations.
pub(crate) trait Contender {
    fn name(&self) -> &'static str;

    /// Builds the maps that an operation needs, outside of the measured time.
    fn prepare(&self, operation: Operation);

    /// Whether the library has the operation.
    fn can(&self, operation: Operation) -> bool;

    /// Runs an operation this many times, and returns the CPU time, in which other programs do not
    /// count.
    fn repeat(&self, operation: Operation, times: u64) -> Duration;
}

/// One contender for each library, with the same entries.
pub(crate) fn contenders<K: Key>(size: usize) -> Vec<Box<dyn Contender>> {
    use crate::peers::{Copied, Im, Imbl, Ours, Rpds};

    let sets = if size < FEW_KEYS { KEY_SETS } else { 1 };
    let sets: Vec<_> = (0..sets).map(|set| Rc::new(Entries::<K>::new(size, set))).collect();
    vec![
        Box::new(KeySets::<K, Ours<K>>::new(&sets)),
        Box::new(KeySets::<K, Imbl<K>>::new(&sets)),
        Box::new(KeySets::<K, Rpds<K>>::new(&sets)),
        Box::new(KeySets::<K, Im<K>>::new(&sets)),
        Box::new(KeySets::<K, Copied<K>>::new(&sets)),
    ]
}

/// The number of key sets of a small map. With a single set, chance decides a row: a lookup takes twice as
/// long if two of eight keys have, say, one fingerprint.
pub(crate) const KEY_SETS: u64 = 5;

/// Larger maps have one key set, since their keys average out.
const FEW_KEYS: usize = 1000;

/// The same contender with several key sets.
struct KeySets<K, M>(Vec<Prepared<K, M>>);

impl<K: Key, M: Subject<K>> KeySets<K, M> {
    fn new(sets: &[Rc<Entries<K>>]) -> Self {
        Self(sets.iter().map(Prepared::new).collect())
    }
}

impl<K: Key, M: Subject<K>> Contender for KeySets<K, M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn can(&self, operation: Operation) -> bool {
        let nothing = M::default();
        operation != Operation::DiffAfterEdit || nothing.differences(&nothing).is_some()
    }

    fn prepare(&self, operation: Operation) {
        self.0.iter().for_each(|each| each.prepare(operation));
    }

    /// The sets share the repetitions. The result is the median set's time for all of them.
    fn repeat(&self, operation: Operation, times: u64) -> Duration {
        let share = times.div_ceil(self.0.len() as u64);
        let mut spent: Vec<Duration> =
            self.0.iter().map(|each| each.repeat(operation, share)).collect();
        spent.sort_unstable();
        spent[spent.len() / 2].mul_f64(times as f64 / share as f64)
    }
}

/// A value that is not in the map.
const OTHER: u64 = u64::MAX;

/// The number of keys that are made in advance for operations that consume them. Reading the clock
/// takes as long as a few operations, so it is read once for these.
const KEYS_AHEAD: u64 = 4096;

/// The maps are built once, when they are first needed.
struct Prepared<K, M> {
    entries: Rc<Entries<K>>,
    map: OnceCell<M>,
    apart: OnceCell<M>,
    edited: OnceCell<M>,
    undone: OnceCell<M>,
}

impl<K: Key, M: Subject<K>> Prepared<K, M> {
    fn new(entries: &Rc<Entries<K>>) -> Self {
        Self {
            entries: Rc::clone(entries),
            map: OnceCell::new(),
            apart: OnceCell::new(),
            edited: OnceCell::new(),
            undone: OnceCell::new(),
        }
    }

    fn map(&self) -> &M {
        self.map.get_or_init(|| self.entries.in_order().collect())
    }

    fn apart(&self) -> &M {
        self.apart.get_or_init(|| self.entries.reordered().collect())
    }

    fn edited(&self) -> &M {
        self.edited.get_or_init(|| self.map().with(self.entries.first().0, OTHER))
    }

    fn undone(&self) -> &M {
        self.undone.get_or_init(|| {
            let (key, value) = self.entries.first();
            self.edited().with(key, value)
        })
    }

    /// Calls `operate` with one key after the other.
    fn with_each(keys: &[K], times: u64, mut operate: impl FnMut(&K)) -> Duration {
        let mut keys = keys.iter().cycle();
        let start = ThreadTime::now();
        for _ in 0..times {
            if let Some(key) = keys.next() {
                operate(key);
            }
        }
        start.elapsed()
    }

    /// Calls `operate` with new keys, which are made outside of the measured time.
    fn with_owned(keys: &[K], times: u64, mut operate: impl FnMut(K)) -> Duration {
        let mut keys = keys.iter().cycle().cloned();
        let mut spent = Duration::ZERO;
        let mut left = times;
        while left > 0 {
            let ahead: Vec<K> = keys.by_ref().take(left.min(KEYS_AHEAD) as usize).collect();
            left -= ahead.len() as u64;
            let start = ThreadTime::now();
            ahead.into_iter().for_each(&mut operate);
            spent += start.elapsed();
        }
        spent
    }

    /// Calls `operate` with new entries, which are made outside of the measured time.
    fn with_entries(&self, times: u64, mut operate: impl FnMut(Vec<(K, u64)>)) -> Duration {
        let at_once = KEYS_AHEAD.div_ceil(self.entries.size());
        let mut spent = Duration::ZERO;
        let mut left = times;
        while left > 0 {
            let ahead: Vec<Vec<_>> =
                (0..left.min(at_once)).map(|_| self.entries.in_order().collect()).collect();
            left -= ahead.len() as u64;
            let start = ThreadTime::now();
            ahead.into_iter().for_each(&mut operate);
            spent += start.elapsed();
        }
        spent
    }

    /// Calls `operate` with unshared copies of the map, which are made outside of the measured time.
    fn with_maps(&self, times: u64, mut operate: impl FnMut(&mut M)) -> Duration {
        let at_once = KEYS_AHEAD.div_ceil(self.entries.size());
        let mut spent = Duration::ZERO;
        let mut left = times;
        while left > 0 {
            let mut ahead: Vec<M> =
                (0..left.min(at_once)).map(|_| self.entries.in_order().collect()).collect();
            left -= ahead.len() as u64;
            let start = ThreadTime::now();
            ahead.iter_mut().for_each(&mut operate);
            spent += start.elapsed();
        }
        spent
    }

    fn compare(&self, other: &M, times: u64) -> Duration {
        let map = self.map();
        let start = ThreadTime::now();
        for _ in 0..times {
            assert!(black_box(map) == black_box(other));
        }
        start.elapsed()
    }
}

impl<K: Key, M: Subject<K>> Prepared<K, M> {
    fn prepare(&self, operation: Operation) {
        match operation {
            Operation::EqualApart => self.apart(),
            Operation::EqualAfterEdit => self.undone(),
            Operation::DiffAfterEdit => self.edited(),
            _ => self.map(),
        };
    }

    fn repeat(&self, operation: Operation, times: u64) -> Duration {
        let (entries, map) = (&self.entries, self.map());
        match operation {
            Operation::Get => Self::with_each(&entries.drawn, times, |key| {
                black_box(black_box(map).get(key));
            }),
            Operation::Miss => Self::with_each(&entries.absent, times, |key| {
                black_box(black_box(map).get(key));
            }),
            Operation::SetExisting => Self::with_owned(&entries.drawn, times, |key| {
                black_box(black_box(map).with(key, OTHER));
            }),
            Operation::SetNew => Self::with_owned(&entries.absent, times, |key| {
                black_box(black_box(map).with(key, OTHER));
            }),
            Operation::Remove => Self::with_each(&entries.drawn, times, |key| {
                black_box(black_box(map).without(key));
            }),
            Operation::BuildInPlace => self.with_entries(times, |entries| {
                let mut made = M::default();
                for (key, value) in entries {
                    made.insert(key, value);
                }
                black_box(made);
            }),
            Operation::RemoveInPlace => {
                let keys: Vec<K> = entries.reordered().map(|(key, _)| key).collect();
                self.with_maps(times, |map| keys.iter().for_each(|key| map.remove(key)))
            }
            Operation::CountInPlace => {
                let keys: Vec<K> = entries.reordered().map(|(key, _)| key).collect();
                self.with_maps(times, |map| keys.iter().cloned().for_each(|key| map.count(key)))
            }
            Operation::Extend => {
                let tenth = entries.absent.len().min(entries.size().div_ceil(10) as usize);
                let added = &entries.absent[..tenth];
                self.with_maps(times, |map| map.extend_by(added.iter().cloned().zip(0..)))
            }
            Operation::Collect => self.with_entries(times, |entries| {
                black_box(entries.into_iter().collect::<M>());
            }),
            Operation::Iterate => {
                let start = ThreadTime::now();
                for _ in 0..times {
                    let sum = |sum: u64, (key, value): (&K, &u64)| {
                        sum.wrapping_add(key.number()).wrapping_add(*value)
                    };
                    black_box(black_box(map).pairs().fold(0, sum));
                }
                start.elapsed()
            }
            Operation::EqualApart => self.compare(self.apart(), times),
            Operation::EqualAfterEdit => self.compare(self.undone(), times),
            Operation::DiffAfterEdit => {
                let other = self.edited();
                let start = ThreadTime::now();
                for _ in 0..times {
                    black_box(black_box(map).differences(black_box(other)));
                }
                start.elapsed()
            }
        }
    }
}
