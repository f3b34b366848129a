"""Figures and tables from Plumb run folders. Start at ../figures.py; data.py reads, style.py looks,
one module per figure.
"""
