"""What the browser's pages stand on: sign-in, words, safe text, jobs, and for each page the files of its name.

Pages (`ui/pages/*.py`) say what is shown where. What they show comes from the rooms; what takes longer than a moment
runs in a job process (`jobs.py`), which a page finds again after a reload.
"""
