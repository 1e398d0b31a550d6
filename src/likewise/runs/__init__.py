"""The run folder: one class for each thing that a run keeps. Files only."""
