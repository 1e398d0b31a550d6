"""The page: one file with its style and script, and the policy that allows these alone."""

from __future__ import annotations

import base64
from hashlib import sha256
from importlib import resources
from string import Template


def page_html() -> str:
    """The page, the same for all data: it asks the server for what it shows."""
    return Template(_file("page.html")).substitute(css=_file("page.css"), js=_file("page.js"))


def security_headers() -> dict[str, str]:
    """Headers of every answer: the page runs its own script alone, and asks nobody but its own server."""
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'; "
        f"img-src 'self' data:; media-src 'self'; style-src {_hash('page.css')}; script-src {_hash('page.js')}"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def _hash(name: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(_file(name).encode()).digest()).decode()}'"


def _file(name: str) -> str:
    return resources.files("likewise.explorer").joinpath(name).read_text(encoding="utf-8")
