"""Modules that several methods share: momentum copies, memory banks, prototypes, quantizers, critics, heads."""
