"""A run of a recipe, whatever it trains: read strictly, recorded in a folder, checkpointed whole, stopped by a signal.

Used by the rooms that train, `alignment/` and `generators/`; it knows nothing of what they train.
"""
