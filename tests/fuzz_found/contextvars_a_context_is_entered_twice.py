variable_0 = module.ContextVar('variable_0', default='default')
context_0 = module.Context()
def function_0():
    step("set", lambda: variable_0.set('in a function'))
async def coroutine_2():
    step("run in run", lambda: context_0.run(context_0.run, function_0))
step("run a loop", lambda: run_loop(coroutine_2))
