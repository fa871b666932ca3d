"""Requests between services, records and workflows."""
