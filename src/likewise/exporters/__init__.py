"""An encoder in the formats of other libraries, each with a model card, checked against the run that it is from."""
