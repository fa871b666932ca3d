variable_0 = module.ContextVar('variable_0', default='default')
many_0 = [module.ContextVar(f'of many {i}') for i in range(40)]
async def coroutine_2():
    step("reset by any", lambda: many_0[30].reset(token_0))
token_0 = step("set", lambda: variable_0.set(None))
step("reset", lambda: token_0.var.reset(token_0))
step("run a loop", lambda: run_loop(coroutine_2))
