many_0 = [module.ContextVar(f'of many {i}') for i in range(40)]
context_0 = module.Context()
async def coroutine_1():
    step("get", lambda: many_0[3].get())
token_0 = step("set", lambda: many_0[3].set(Value(context_0)))
step("reset by any", lambda: many_0[3].reset(token_0))
step("run a loop of Python tasks", lambda: run_loop(coroutine_1, python_task))
