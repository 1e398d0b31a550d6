"""Agents that learn from pixels: environments, replay, CURL and its ablations, on stable-baselines3 (extra `rl`)."""

import os

from likewise.errors import needs

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # pygame greets on stdout, where results go
needs("gymnasium", "rl")
needs("stable_baselines3", "rl")
