"""Shape and type annotations of the whole package are checked at run time, in the tests only."""

from jaxtyping import install_import_hook

# Never uninstalled: `likewise` imports its modules lazily, long after this line.
install_import_hook("likewise", "beartype.beartype")
