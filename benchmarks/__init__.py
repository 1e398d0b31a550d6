"""Side by side with peers, in one run: what counts are the ratios. Run as `python -m benchmarks.NAME`."""
