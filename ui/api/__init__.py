"""An OpenAI-compatible server in front of knowledge bases and the decoder: what `hearth api` runs.

Imported when the command is called; needs the extra `api`.
"""
