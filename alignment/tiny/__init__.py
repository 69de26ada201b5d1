"""hearth-tiny: the decoder that the house trains from nothing, and the seeded tasks that it is trained and measured on.

Every kind of task has a file of its own: cases come from templates, drawn with a `random.Random`, and each belongs to
one split. What is measured on was never trained on: test cases use wordings and names that training leaves out.
"""
