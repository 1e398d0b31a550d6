"""All benchmarks, one after the other, at their quickest settings: `python -m benchmarks`, or `make bench`."""

from __future__ import annotations

import subprocess
import sys

QUICK = {
    "startup": [],
    "views": [],
    "losses": ["--quick"],
    "mae": ["--rounds", "3"],
    "methods": ["--quick"],
    "speed": ["--sizes", "28", "--steps", "3", "--rounds", "1"],
    "scaling": ["--samples", "1000", "10000", "--batches", "64", "--sizes", "32", "--steps", "2"],
    "minutes": ["--data", "digits", "--minutes", "0.5", "--seeds", "2"],
    "suggest": ["--epochs", "5", "--seeds", "2"],
    "calibration": ["--epochs", "5", "--seeds", "2"],
    "distill": ["--teacher", "resnet8", "--teacher-epochs", "2", "--epochs", "2", "--draws", "2", "--seeds", "2"],
    "temperature": ["--temperatures", "0.1", "0.5", "--augments", "mild", "strong", "--epochs", "2", "--seeds", "2"],
    "few_shot": ["--data", "digits", "--epochs", "2", "--episodes", "20", "--methods", "protonet", "maml"],
    "clean": ["--epochs", "5", "--seeds", "1"],
    "index": ["--rows", "200000", "--queries", "50"],
    "explore": ["--samples", "20000", "--queries", "100"],
    "export": ["--epochs", "1"],
    "large_scale": [],
    "processes": ["--methods", "simclr", "--epochs", "1", "--seeds", "2"],
    "shards": ["--images", "600", "--batch", "64", "--steps", "3", "--rounds", "1"],
    "serve": ["--encoder", "resnet8", "--seconds", "2", "--rounds", "1"],
    "explain": ["--epochs", "2", "--seeds", "1", "--pairs", "4"],
    "rl": ["--steps", "500", "--seeds", "1"],
}

for name, options in QUICK.items():
    print(f"\n## python -m benchmarks.{name} {' '.join(options)}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=True)
