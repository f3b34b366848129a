# The ten lines of README: the forest plot of a sweep, in a notebook (test_notebook.py runs them).
import matplotlib.pyplot as plt
import plumb

c = plumb.compare(plumb.load("runs/blocks"))
rows = [r for r in c.rows if r.baseline]
for y, r in enumerate(rows):
    plt.plot(list(r.differences.values()), [y] * r.n_pairs, "o", alpha=0.4)
    plt.errorbar(r.difference, y, xerr=(r.high - r.low) / 2, fmt="k|")
plt.axvspan(-c.margin, c.margin, alpha=0.1)
plt.yticks(range(len(rows)), [f"{r.label}: {r.verdict_text}" for r in rows])
plt.savefig("forest.svg", bbox_inches="tight")
