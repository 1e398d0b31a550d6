"""The commands: one file a verb, with its signature, docstring, body and result."""

from typing import Annotated, Any

from cyclopts import Parameter

FromPython = Annotated[Any, Parameter(parse=False)]
"""A parameter whose values no command line can hold."""
