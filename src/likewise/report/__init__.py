"""A run folder, shown: one web page and one picture."""
