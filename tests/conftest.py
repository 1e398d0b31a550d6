"""What all tests share: annotations are checked at run time, and no test depends on how busy the machine is."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from annotations import install

# Shape and type annotations of the whole package are checked, in the tests only. Never uninstalled: `likewise` imports
# its modules lazily, long after this line.
install()

# A shell starts what runs in the background with interrupts ignored, and what tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# What tests write need not outlive a power failure, and a disk takes ten milliseconds for each file to be sure of it.
os.fsync = lambda descriptor: None

settings.register_profile("any-load", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-load")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests have three times as long: beside a busy program, the demo takes more than ten minutes."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1800))
