"""Integrations: portable variables travel through engines and protocols that programs use already.

Each module is for one engine or protocol, and only it imports that package. `install` attaches the
values of portable variables to the jobs and requests that leave, and runs those that arrive with
the values that were sent; `uninstall` undoes it.

    import ctxvars.integrations.celery

    ctxvars.integrations.celery.install(app)

A worker never shows a job the values of another one: a declared variable that was not sent has no
value in the job. The options `to`, `accept` and `signer` are those of `ctxvars.inject` and
`ctxvars.extract`.
"""
