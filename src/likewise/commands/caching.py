"""The option `cache` of commands: where decoded samples are kept while a command runs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from likewise.data.cache import using_cache

Given = ParamSpec("Given")
Result = TypeVar("Result")


def caching(command: Callable[Given, Result]) -> Callable[Given, Result]:
    """A command that keeps decoded samples as its option `cache` says: see `CacheUse.of`."""

    @functools.wraps(command)
    def run(*arguments: Given.args, **options: Given.kwargs) -> Result:
        with using_cache(options.get("cache")):  # type: ignore[arg-type]
            return command(*arguments, **options)

    return run
