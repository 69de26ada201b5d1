"""The pages of the browser, one file each: thin, top to bottom, run anew at each interaction."""
