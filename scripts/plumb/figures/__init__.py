"""Figures from run folders: one module each, drawn by cli.py."""
