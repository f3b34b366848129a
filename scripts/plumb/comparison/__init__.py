"""`plumb compare`: compare.py puts a Comparison together of rows.py (variants against a baseline),
baseline.py (which one), verdict.py, curves.py (losses over training), scaling.py (over sizes),
tuning.py (learning rates) and provenance.py (what was matched, who made it); text.py and formats.py
print it, cli.py is the command.
"""
