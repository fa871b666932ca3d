//! Several threads derive, edit, iterate over, compare and drop maps at the same time.

use ctxvars::HashTrieMap;
use ctxvars::hash_trie_map::Change;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

const THREADS: u32 = if cfg!(miri) { 2 } else { 4 };
const KEYS: u32 = if cfg!(miri) { 20 } else { 300 };
const STEPS: u32 = if cfg!(miri) { 8 } else { 400 };

type Model = BTreeMap<u32, u32>;

/// A value that counts its live clones, in all threads.
struct Counted {
    number: Box<u32>,
    alive: Arc<AtomicUsize>,
}

impl Counted {
    fn new(number: u32, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self { number: Box::new(number), alive: Arc::clone(alive) }
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(*self.number, &self.alive)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

type Map = HashTrieMap<Box<u32>, Counted>;

fn shared_map(alive: &Arc<AtomicUsize>) -> Map {
    (0..KEYS).map(|n| (Box::new(n), Counted::new(n, alive))).collect()
}

fn model_of(map: &Map) -> Model {
    map.check_invariants();
    map.iter().map(|(key, value)| (**key, *value.number)).collect()
}

/// A random number generator for one thread.
fn numbers(thread: u32) -> impl FnMut(u32) -> u32 {
    let mut state = u64::from(thread) + 1;
    move |below| {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (state >> 33) as u32 % below
    }
}

/// Derives maps from a shared map by random steps, and compares them with a model.
fn work(base: &Map, thread: u32, alive: &Arc<AtomicUsize>) -> (Map, Model) {
    let mut random = numbers(thread);
    let (mut map, mut model) = (base.clone(), model_of(base));
    let mut kept = base.clone();
    for _ in 0..STEPS {
        let (key, number) = (random(2 * KEYS), random(1000));
        match random(9) {
            0..=2 => {
                let old = map.insert(Box::new(key), Counted::new(number, alive));
                assert_eq!(old.map(|old| *old.number), model.insert(key, number));
            }
            3 => {
                let old = map.remove(&key);
                assert_eq!(old.map(|old| *old.number), model.remove(&key));
            }
            4 => {
                if let Some(value) = map.get_mut(&key) {
                    *value.number = number;
                    model.insert(key, number);
                }
            }
            5 => kept = map.clone(),
            6 => {
                let differences = map.diff(&kept);
                let mut rebuilt = map.clone();
                for change in &differences {
                    match *change {
                        Change::Removed { key, .. } => drop(rebuilt.remove(key)),
                        Change::Added { key, value } | Change::Changed { key, new: value, .. } => {
                            rebuilt.insert(key.clone(), value.clone());
                        }
                    }
                }
                assert!(rebuilt == kept);
            }
            7 if number % 16 == 0 => {
                map.values_mut().for_each(|value| *value.number += 1);
                model.values_mut().for_each(|value| *value += 1);
            }
            8 if number % 16 == 0 => {
                let entries = std::mem::replace(&mut map, base.clone()).into_iter();
                map = entries.filter(|(key, _)| **key % 5 != 0).collect();
                model.retain(|key, _| key % 5 != 0);
            }
            _ => {
                let found = map.get(&key).map(|value| *value.number);
                assert_eq!(found, model.get(&key).copied());
            }
        }
    }
    assert_eq!(model_of(&map), model);
    (map, model)
}

#[test]
fn edits_on_one_thread_are_invisible_to_others() {
    let alive = Arc::new(AtomicUsize::new(0));
    let base = shared_map(&alive);
    let before = model_of(&base);
    let results: Vec<(Map, Model)> = thread::scope(|scope| {
        let start = |thread| {
            let (base, alive) = (&base, &alive);
            scope.spawn(move || work(base, thread, alive))
        };
        let threads: Vec<_> = (0..THREADS).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    assert_eq!(model_of(&base), before, "the map that they share is as it was");
    for (map, model) in &results {
        assert_eq!(model_of(map), *model);
    }
    drop((base, results));
    assert_eq!(alive.load(Ordering::Relaxed), 0, "every value is dropped once");
}

/// Clones move from thread to thread, and any of them may be the last owner of a node.
#[test]
fn clones_that_move_through_threads_are_dropped_once() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..THREADS).map(|_| mpsc::channel::<(Map, u32)>()).unzip();
    for (sender, thread) in senders.iter().zip(0..) {
        sender.send((shared_map(&alive), thread)).expect("the channel is open");
    }
    thread::scope(|scope| {
        for (receiver, thread) in receivers.into_iter().zip(0..THREADS) {
            let next = senders[((thread + 1) % THREADS) as usize].clone();
            let alive = &alive;
            scope.spawn(move || {
                for step in 0..STEPS {
                    let Ok((mut map, from)) = receiver.recv() else { return };
                    let copy = map.clone();
                    map.insert(Box::new(step % KEYS), Counted::new(from, alive));
                    // This thread drops its clone while another thread edits the other clone.
                    if next.send((map, thread)).is_err() {
                        return;
                    }
                    assert!(copy.len() >= KEYS as usize - 1);
                    let mut mine = copy;
                    mine.remove(&(step % KEYS));
                    mine.check_invariants();
                }
            });
        }
        drop(senders);
    });
    assert_eq!(alive.load(Ordering::Relaxed), 0, "every value is dropped once");
}

/// The last two owners of shared nodes edit and drop them at the same time, repeatedly.
#[test]
fn racing_drops_of_the_last_owners_free_a_node_once() {
    let alive = Arc::new(AtomicUsize::new(0));
    for round in 0..STEPS / 4 {
        let (mut ours, mut theirs) = {
            let map = shared_map(&alive);
            (map.clone(), map)
        };
        thread::scope(|scope| {
            scope.spawn(move || {
                theirs.values_mut().for_each(|value| *value.number += 1);
                assert!(theirs.iter().all(|(key, value)| *value.number == **key + 1));
                assert_eq!(theirs.into_iter().skip(round as usize % 7).count(), {
                    KEYS as usize - round as usize % 7
                });
            });
            ours.remove(&(round % KEYS));
            ours.entry(Box::new(KEYS)).or_insert_with(|| Counted::new(KEYS, &alive));
            assert!(ours.iter().all(|(key, value)| *value.number == **key));
            assert_eq!(ours.into_iter().map(|(key, value)| *key - *value.number).sum::<u32>(), 0);
        });
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn threads_combine_maps_derived_on_other_threads() {
    let alive = Arc::new(AtomicUsize::new(0));
    let base = shared_map(&alive);
    let edited = |thread: u32| {
        let mut map = base.clone();
        for step in 0..STEPS / 8 {
            let key = thread + THREADS * (step % KEYS);
            map.insert(Box::new(key), Counted::new(1000 + thread, &alive));
        }
        map
    };
    let merged = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || (thread, edited(thread)))).collect();
        let mut merged = base.clone();
        for thread in threads {
            let (thread, map) = thread.join().expect("no thread panics");
            merged = base.merge(&merged, &map, |_| panic!("thread {thread} shares a key"));
        }
        merged
    });
    for (key, value) in merged.iter() {
        let is_edited = *value.number == 1000 + **key % THREADS;
        assert!(is_edited || *value.number == **key);
    }
    let edited = merged.values().filter(|value| *value.number >= 1000).count();
    assert_eq!(edited, (THREADS * (STEPS / 8).min(KEYS)) as usize);
    drop((base, merged));
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}
