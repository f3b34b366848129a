"""Figures and tables from Plumb run folders. Start at ../figures.py; files.py and run.py read,
groups.py makes variants of runs, stats.py counts, style.py and layout.py say how figures look; most
of the others are one figure each.
"""
