variable_0 = module.ContextVar('variable_0')
context_3 = step("copy current", lambda: known(module.copy_context()))
step("equality if changed", lambda: equal(context_3, changed(context_3, variable_0, None)))
