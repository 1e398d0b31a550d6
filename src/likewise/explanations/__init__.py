"""Why samples are alike to an encoder: which parts count, what it ignores, what it knows."""
