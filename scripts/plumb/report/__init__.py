"""One offline page that answers a sweep, readable without scripts, on a phone, in the dark and on
paper.

write.py writes it and what lies beside it, build.py puts it together. material.py holds what all
sections look at; answer.py, training.py, depth.py, matrix.py, costs.py and records.py write the
sections. svg.py, charts.py, intervals.py, heat.py and markup.py know nothing of runs. style.css and
page.js are put into the page as they are. gallery.py writes a page over several reports.
"""
