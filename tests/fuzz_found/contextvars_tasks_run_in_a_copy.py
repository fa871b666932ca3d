variable_0 = module.ContextVar('variable_0', default='default')
context_0 = module.Context()
async def async_generator_function_0():
    step("set", lambda: variable_0.set('in a function'))
    note('resumed', described((yield 1)))
async def coroutine_1():
    async_generator_0 = step("new async generator", lambda: keep(async_generator_function_0()))
    await async_step("anext in a task", lambda: spawn(advance(async_generator_0), context_0))
step("run run a loop", lambda: context_0.run(run_loop, coroutine_1))
