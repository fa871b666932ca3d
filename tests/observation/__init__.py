"""The recorder of changes, and the hook of `watch`, as the compiled module has them."""
