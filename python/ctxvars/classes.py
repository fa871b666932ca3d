from ctxvars._core import build_class, build_class_observed, run_body
