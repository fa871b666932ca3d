"""What several integrations share: their options, and lists of hosts."""
