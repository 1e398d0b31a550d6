"""Modalities: one module each, found by name through `likewise.registry`."""
