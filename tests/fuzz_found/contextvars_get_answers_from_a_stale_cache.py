variable_0 = module.ContextVar('variable_0', default='default')
context_0 = module.Context()
token_0 = None
async def coroutine_0():
    step("set", lambda: variable_0.set('in a function'))
    step("get", lambda: variable_0.get())
step("run run a loop", lambda: context_0.run(run_loop, coroutine_0))
token_1 = step("set", lambda: variable_0.set(token_0))
step("get", lambda: variable_0.get())
