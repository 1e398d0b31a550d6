"""The run folder: one class for each thing that a run keeps, with `save(folder)` and `load(folder)`. Files only."""
