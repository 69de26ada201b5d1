"""The `hearth` command, one file per room."""
