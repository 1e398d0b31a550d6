"""A run or a classifier as a small HTTP service."""

from likewise.errors import needs

needs("starlette", "serve")
needs("uvicorn", "serve")
