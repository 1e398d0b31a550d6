"""Embeddings in a table of LanceDB that grows, is filtered, and is searched approximately where it is large."""
