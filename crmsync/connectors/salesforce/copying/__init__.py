"""A copy of an org for a sandbox: its schema and data, read only, with names made up on request."""
