"""The header `baggage`: writing, reading and signing it."""
