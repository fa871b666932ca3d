"""`Group`: classes whose annotated names are context variables."""
