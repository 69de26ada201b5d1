"""What the decoder may know: load, chunk, embed, store, index, retrieve, answer, evaluate.

Every answer carries citations that were checked against the text; where nothing supports an answer, there is none.
"""
