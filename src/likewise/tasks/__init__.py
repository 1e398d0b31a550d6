"""Heads for downstream work on the features of an encoder."""
