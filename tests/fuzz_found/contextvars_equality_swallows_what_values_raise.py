many_0 = [module.ContextVar(f'of many {i}') for i in range(40)]
context_0 = module.Context()
step("equality of copies", lambda: equal_with(context_0, many_0[3], [], Hostile(fail)))
