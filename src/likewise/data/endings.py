"""What the endings of file names say of their content. Files of other endings, or of none, are looked into."""

from __future__ import annotations

IMAGES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"),
    *(".avif", ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".qoi", ".ico", ".sgi"),
)
RECORDINGS = (
    *(".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc"),
    *(".au", ".snd", ".caf", ".w64", ".rf64", ".sph"),
)
ABOUT_SAMPLES = (
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".parquet", ".md", ".rst", ".html", ".htm"),
    *(".pdf", ".doc", ".docx", ".xls", ".xlsx", ".log", ".ini", ".cfg", ".toml", ".db", ".py", ".ipynb", ".sh", ".m"),
    *(".license", ".tar"),
)
"""Of files that lie beside samples and are none themselves: they are not listed among what could not be read."""
CAMERA_RAW = (".nef", ".nrw", ".cr2", ".cr3", ".arw", ".dng", ".raf", ".orf", ".rw2", ".pef", ".srw")
"""TIFF files of cameras, in which Pillow finds a small preview and takes it for the picture."""
