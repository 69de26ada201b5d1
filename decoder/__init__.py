"""The model at the centre: one interface for every way to run it. Knows nothing of documents, agents or training."""
