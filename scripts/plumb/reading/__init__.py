"""Run folders: files.py and run.py read them, groups.py makes variants of runs."""
