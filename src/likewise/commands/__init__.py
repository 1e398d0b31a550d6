"""The commands: one file a verb, with its signature, docstring, body and result."""
