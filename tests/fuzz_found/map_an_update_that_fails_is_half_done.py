map_1 = module.Map(entries(range(55), 60, 'first'))
mutation_0 = step("mutate", lambda: map_1.mutate())
step("update in place", lambda: mutation_0.update([(-2, 0), 0]))
step("length of a mutation", lambda: len(mutation_0))
