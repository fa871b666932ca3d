//! Checks at compile time: which types are `Send` and `Sync`, and which are covariant.

use ctxvars::hash_trie_map::{
    Change, DefaultHashBuilder, Entry, HashTrieMap, IntoIter, Iter, IterMut, Keys, OccupiedEntry,
    VacantEntry, Values, ValuesMut,
};
use ctxvars::map::{ArcHeap, Cursor, NodeRef, Trie};
use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;
use std::sync::MutexGuard;

/// `Send` and `Sync` as `T` is.
struct Like<T>(PhantomData<T>);

impl<T> Clone for Like<T> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Like<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// `Send`, not `Sync`.
type Unshared = Like<Cell<u8>>;

/// `Sync`, not `Send`.
type Bound = Like<MutexGuard<'static, u8>>;

/// Neither.
type Local = Like<Rc<u8>>;

/// A trait that all types implement.
trait Otherwise {
    const IS_SO: bool = false;
}

impl<T: ?Sized> Otherwise for T {}

/// Whether a type implements a trait. An inherent constant, which exists only if the type implements
/// the trait, is found before the constant of a trait that all types implement.
macro_rules! implements {
    ($type:ty: $trait:path) => {{
        #[allow(dead_code)] // Only the type is used.
        struct Asked<T: ?Sized>(PhantomData<T>);
        #[allow(dead_code)] // Not found if the type does not implement the trait.
        impl<T: ?Sized + $trait> Asked<T> {
            const IS_SO: bool = true;
        }
        <Asked<$type>>::IS_SO
    }};
}

/// Checks whether these types are both `Send` and `Sync`, or neither, at compile time.
macro_rules! assert_crosses_threads {
    ($expected:literal: $($type:ty,)*) => {$(
        const { assert!(implements!($type: Send) == $expected, stringify!($type)) };
        const { assert!(implements!($type: Sync) == $expected, stringify!($type)) };
    )*};
}

/// As [`assert_crosses_threads`], for all types that refer to nodes with such keys and values.
macro_rules! assert_nodes_cross_threads {
    ($expected:literal: $key:ty, $value:ty) => {
        assert_crosses_threads! {
            $expected:
            HashTrieMap<$key, $value>,
            Iter<'static, $key, $value>,
            IterMut<'static, $key, $value>,
            Keys<'static, $key, $value>,
            Values<'static, $key, $value>,
            ValuesMut<'static, $key, $value>,
            IntoIter<$key, $value>,
            Entry<'static, $key, $value, ()>,
            OccupiedEntry<'static, $key, $value, ()>,
            VacantEntry<'static, $key, $value, ()>,
            NodeRef<ArcHeap<$key, $value>>,
            Trie<ArcHeap<$key, $value>>,
            Cursor<ArcHeap<$key, $value>>,
            ctxvars::map::Iter<'static, ArcHeap<$key, $value>>,
        }
        #[cfg(feature = "rayon")]
        assert_crosses_threads! { $expected: ctxvars::hash_trie_map::ParIter<'static, $key, $value>, }
    };
}

#[test]
fn the_macro_detects_implemented_traits() {
    const { assert!(implements!(u8: Send) && !implements!(Rc<u8>: Send)) };
    const { assert!(implements!(Unshared: Send) && !implements!(Unshared: Sync)) };
    const { assert!(!implements!(Bound: Send) && implements!(Bound: Sync)) };
}

/// Threads share nodes, so keys and values must be `Send` and `Sync`, as in an `Arc`.
#[test]
fn maps_and_iterators_cross_threads_if_keys_and_values_do() {
    assert_nodes_cross_threads!(true: u8, String);
    assert_nodes_cross_threads!(false: Unshared, u8);
    assert_nodes_cross_threads!(false: Bound, u8);
    assert_nodes_cross_threads!(false: Local, u8);
    assert_nodes_cross_threads!(false: u8, Unshared);
    assert_nodes_cross_threads!(false: u8, Bound);
    assert_nodes_cross_threads!(false: u8, Local);
}

#[test]
fn tags_and_hashers_must_be_send_too() {
    assert_crosses_threads! { true: Trie<ArcHeap<u8, u8, u8>>, Trie<ArcHeap<u8, u8, u8, Local>>, }
    assert_crosses_threads! {
        false:
        Trie<ArcHeap<u8, u8, Unshared>>,
        Trie<ArcHeap<u8, u8, Bound>>,
        Cursor<ArcHeap<u8, u8, Local>>,
        HashTrieMap<u8, u8, Local>,
    }
    // Maps do not share a hasher.
    const { assert!(implements!(HashTrieMap<u8, u8, Unshared>: Send)) };
    const { assert!(!implements!(HashTrieMap<u8, u8, Unshared>: Sync)) };
    const { assert!(!implements!(HashTrieMap<u8, u8, Bound>: Send)) };
    const { assert!(implements!(HashTrieMap<u8, u8, Bound>: Sync)) };
}

#[test]
fn maps_implement_the_traits_of_collections() {
    const { assert!(implements!(HashTrieMap<String, String>: UnwindSafe)) };
    const { assert!(implements!(HashTrieMap<String, String>: RefUnwindSafe)) };
    const { assert!(!implements!(HashTrieMap<u8, f32>: Eq)) };
    const { assert!(implements!(HashTrieMap<u8, f32>: PartialEq)) };
    const { assert!(implements!(Change<'static, Rc<u8>, f32>: Copy)) };
    const { assert!(implements!(DefaultHashBuilder: Copy)) };
    const { assert!(size_of::<HashTrieMap<String, String>>() <= 16) };
    const { assert!(size_of::<Option<Trie<ArcHeap<u8, u8>>>>() <= 16) };
}

/// Types with read access only are covariant.
#[test]
fn maps_and_iterators_are_covariant() {
    type Long = &'static str;
    fn map<'a>(map: HashTrieMap<Long, Long>) -> HashTrieMap<&'a str, &'a str> {
        map
    }
    fn entries<'a>(entries: IntoIter<Long, Long>) -> IntoIter<&'a str, &'a str> {
        entries
    }
    fn borrowed<'a, 'm>(iter: Iter<'m, Long, Long>) -> Iter<'m, &'a str, &'a str> {
        iter
    }
    fn keys<'a, 'm>(keys: Keys<'m, Long, Long>) -> Keys<'m, &'a str, &'a str> {
        keys
    }
    fn key<'a>(map: &HashTrieMap<&'a str, u8>, key: &'a str) -> bool {
        map.contains_key(key)
    }
    let long: HashTrieMap<Long, Long> = HashTrieMap::from([("a", "b")]);
    let short = String::from("a");
    assert_eq!(borrowed(long.iter()).next(), Some((&"a", &"b")));
    assert_eq!(keys(long.keys()).next(), Some(&"a"));
    let found: HashTrieMap<Long, u8> = long.map_values(|_| 1);
    assert!(key(&found, &short));
    let mut shortened = map(long.clone());
    shortened.insert(&short, &short);
    assert_eq!(entries(long.into_iter()).next(), Some(("a", "b")));
}
