"""Searches for a recipe: ranges, Optuna's study in a file, trials in this process or in several, result and page."""
