"""What is said to the decoder: templates, techniques and voting. Knows nothing of where the text comes from."""
