map_2 = module.Map(entries(range(56), 60, 'first'))
step("delete what raises", lambda: map_2.delete(Incomparable(-1)))
