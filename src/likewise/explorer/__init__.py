"""A local page to look at many samples: a map of their embeddings, search, faults, and labels by hand."""
