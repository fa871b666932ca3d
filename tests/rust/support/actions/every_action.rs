{
    let mut maps = maps::<Bits<4>>();
    maps[0].extend([(k(0, 0), v(1)), (k(1, 0), v(1)), (k(2, 0), v(1)), (k(3, 0), v(1)), (k(4, 0), v(1)), (k(5, 0), v(1)), (k(6, 0), v(1)), (k(7, 0), v(1)), (k(8, 0), v(1)), (k(9, 0), v(1)), (k(10, 0), v(1)), (k(11, 0), v(1)), (k(12, 0), v(1)), (k(13, 0), v(1)), (k(14, 0), v(1)), (k(15, 0), v(1)), (k(16, 0), v(1)), (k(17, 0), v(1)), (k(18, 0), v(1)), (k(19, 0), v(1)), (k(20, 0), v(1)), (k(21, 0), v(1)), (k(22, 0), v(1)), (k(23, 0), v(1)), (k(24, 0), v(1)), (k(25, 0), v(1)), (k(26, 0), v(1)), (k(27, 0), v(1)), (k(28, 0), v(1)), (k(29, 0), v(1)), (k(30, 0), v(1)), (k(31, 0), v(1)), (k(32, 0), v(1)), (k(33, 0), v(1)), (k(34, 0), v(1)), (k(35, 0), v(1)), (k(36, 0), v(1)), (k(37, 0), v(1)), (k(38, 0), v(1)), (k(39, 0), v(1))]);
    maps[1] = [(k(3, 2), v(5)), (k(60, 0), v(0)), (k(60, 1), v(2)), (k(61, 0), v(1))].into_iter().collect();
    maps[0].insert(k(3, 1), v(4));
    maps[2] = maps[0].update(k(500, 1), v(2));
    if let Some(value) = maps[0].get_mut(&Id(3)) {
        value.set(4);
    }
    maps[3] = maps[0].alter(k(4, 0), |_| None);
    maps[3] = maps[0].alter(k(5, 0), |_| Some(v(3)));
    maps[0].entry(k(500, 1)).or_insert_with(|| v(2));
    maps[2].entry(k(500, 1)).and_modify(|value| *value = v(added(value.get(), 2))).or_insert_with_key(|_| v(2));
    match maps[2].entry(k(501, 0)) {
        Entry::Occupied(mut entry) => drop(entry.insert(v(3))),
        Entry::Vacant(entry) => drop(entry.insert(v(3)).clone()),
    }
    let _ = maps[2].entry(k(501, 2)).insert_entry(v(4));
    let _ = maps[2].entry(k(502, 0)).insert_entry(v(3));
    if let Entry::Occupied(entry) = maps[2].entry(k(7, 0)) {
        entry.remove_entry();
    }
    drop(maps[2].entry(k(7, 0)));
    maps[0].remove(&Id(500));
    maps[0].remove_entry(&Id(8));
    maps[3] = maps[0].without(&Id(9));
    maps[3].extend([(k(3, 2), v(5)), (k(60, 0), v(0)), (k(60, 1), v(2)), (k(61, 0), v(1))]);
    let other = maps[1].clone();
    maps[3].extend(&other);
    maps[2] = maps[3].clone();
    maps[2].retain(|_, value| value.get() < 3);
    maps[2] = maps[3].filter(|_, value| value.get() < 2);
    maps[2] = maps[2].map_values(|value| v(added(value.get(), 2)));
    maps[2].values_mut().for_each(|value| *value = v(added(value.get(), 1)));
    maps[2].iter_mut().filter(|(key, _)| key.id() % 2 == 0).for_each(|(_, value)| *value = v(added(value.get(), 1)));
    maps[2] = take(&mut maps[2]).into_iter().filter(|(_, value)| value.get() < 6).collect();
    maps[3] = maps[1].union(&maps[0]);
    maps[2] = maps[2].union_with(&maps[3], |_, a, b| v(mixed(a.get(), b.get())));
    maps[3] = maps[0].intersection(&maps[3]);
    maps[3] = maps[3].intersection_with(&maps[2], |_, a, b| v(mixed(a.get(), b.get())));
    maps[3] = maps[2].difference(&maps[1]);
    maps[3] = maps[2].symmetric_difference(&maps[1]);
    maps[0] = maps[0].merge(&maps[2], &maps[3], |it| resolved([it.base, it.ours, it.theirs].map(|value| value.map(Value::get))).map(v));
    maps[1].is_submap(&maps[2]);
    let _ = maps[2] == maps[3];
    let _ = Bits::<64>.hash_one(&maps[2]) == Bits::<64>.hash_one(&maps[3]);
    drop(maps[2].diff(&maps[3]));
    maps[2].get_key_value(&Id(500));
    maps[3] = maps[0].clone().into_iter().collect::<Vec<_>>().into_iter().rev().collect();
    assert_eq!(maps[0], maps[3]);
    take(&mut maps[3]).into_iter().take(9).for_each(drop);
    maps[2].extract_if(|_, value| value.get() < 2).for_each(drop);
    maps[0].drain().take(5).for_each(drop);
    maps[2].clear();
    maps.iter().for_each(HashTrieMap::check_invariants);
}
