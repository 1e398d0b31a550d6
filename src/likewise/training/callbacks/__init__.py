"""What goes on beside the steps of a training: diagnostics, health, probe, checkpoints, progress."""
