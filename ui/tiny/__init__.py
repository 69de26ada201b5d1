"""Where hearth-tiny meets the rooms above `alignment`: rows of real agent runs, its measures, and its making."""
