"""`likewise methods`: every method, or one."""

from __future__ import annotations


def list_methods() -> list[dict[str, str]]:
    """Every method: its name, family, paper (arXiv id), and when to choose it."""
    from likewise.methods import METHODS, method_class

    classes = {name: method_class(name) for name in METHODS}
    return [
        {
            "name": name,
            "family": c.family,
            "modality": c.modality,
            "paper": f"arXiv:{c.paper}",
            "when_to_use": c.when_to_use,
        }
        for name, c in classes.items()
    ]
