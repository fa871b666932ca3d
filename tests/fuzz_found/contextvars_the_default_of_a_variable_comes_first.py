variable_1 = module.ContextVar('variable_1', default='default')
step("observe", lambda: observe())
