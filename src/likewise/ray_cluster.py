"""A Ray cluster: the one at hand, or one that is started on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from likewise.errors import UserError, needs

SETTINGS = ("LIKEWISE_CACHE", "LIKEWISE_DATA")
"""Variables of the environment that tasks need as this process has them."""
SHOWN = 300  # letters of an error of Ray's


@dataclass(frozen=True)
class RayCluster:
    """What a cluster has.

    Attributes:
        ray: the library, connected.
        gpus: of all machines.
        machines: how many.
    """

    ray: Any
    gpus: int
    machines: int

    @property
    def places(self) -> int:
        """Tasks that have a GPU, or without any a machine, of their own."""
        return self.gpus or self.machines

    def threads(self, tasks: int) -> int:
        """Threads of each of so many tasks at once; no more than the smallest machine has."""
        processors = [int(node["Resources"].get("CPU", 1)) for node in self.ray.nodes() if node["Alive"]]
        return max(1, min(min(processors), sum(processors) // tasks))


@contextmanager
def ray_cluster(doing: str, go_on: str) -> Iterator[RayCluster]:
    """Connect to the cluster that `RAY_ADDRESS` names or this machine belongs to, or start one on this machine.

    Its machines see the data and all folders in the same places as this one.

    Args:
        doing: what it is for, for people: embed, train.
        go_on: what goes on with it after an error, for people.

    Raises:
        UserError: without Ray, or when the cluster is not there or lost.
    """
    ray = needs("ray", "ray")
    kept = {name: os.environ[name] for name in SETTINGS if name in os.environ}

    def lost(error: Exception) -> UserError:
        said = " ".join(str(error).split())[:SHOWN]
        return UserError(f"the Ray cluster cannot {doing}: {said}; {go_on}")

    try:
        try:
            ray.init(logging_level="ERROR", log_to_driver=False, runtime_env={"env_vars": kept})
        except ConnectionError as error:  # one of what is done inside is no fault of the cluster
            raise lost(error) from error
        yield RayCluster(ray, int(ray.cluster_resources().get("GPU", 0)), len(ray.nodes()))
    except ray.exceptions.RayError as error:
        raise lost(error) from error
    finally:
        ray.shutdown()
