"""The profiles of hypothesis."""

from hypothesis import settings

# For `make test-all`: what takes a minute on one interpreter is done in part on all of them. Tests
# that are quick make as many examples as ever.
settings.register_profile("few", max_examples=25)
