//! Dropping deeply nested maps, with the feature `deep-drop`.
use ctxvars::HashTrieMap;

/// A value that may hold a map of such values, in several ways.
#[derive(Clone, Default)]
struct Nest {
    inline: Option<HashTrieMap<u8, Nest>>,
    boxed: Option<Box<HashTrieMap<u8, Nest>>>,
}

fn nest(levels: usize) -> HashTrieMap<u8, Nest> {
    (0..levels).fold(HashTrieMap::new(), |inner, level| {
        let nest = if level % 2 == 0 {
            Nest { inline: Some(inner), boxed: None }
        } else {
            Nest { inline: None, boxed: Some(Box::new(inner)) }
        };
        HashTrieMap::from([(0, nest), (1, Nest::default())])
    })
}

impl Nest {
    fn inner(&self) -> Option<&HashTrieMap<u8, Nest>> {
        self.inline.as_ref().or(self.boxed.as_deref())
    }
}

fn levels(map: &HashTrieMap<u8, Nest>) -> usize {
    let inner = |map: &&HashTrieMap<u8, Nest>| map.get(&0).is_some();
    std::iter::successors(Some(map), |map| map.get(&0)?.inner()).filter(inner).count()
}

#[test]
fn dropping_300_000_nested_maps_does_not_overflow_the_stack() {
    let map = nest(300_000);
    let kept = map.clone();
    drop(map);
    assert_eq!(levels(&kept), 300_000);
    std::thread::spawn(move || drop(kept)).join().unwrap();
}
