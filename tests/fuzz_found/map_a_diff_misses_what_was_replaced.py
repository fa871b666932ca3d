map_1 = module.Map(entries(range(99), 60, 'first'))
map_2 = module.Map(entries(range(51), 60, 'first'))
map_4 = step("difference with keys", lambda: map_1.difference([Key(3, 60), -2]))
diff_0 = step("diff", lambda: map_4.diff(map_2))
