map_0 = module.Map(entries(range(2), 60, 'first'))
map_1 = step("set", lambda: map_0.set(0, 0))
