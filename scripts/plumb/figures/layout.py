"""The page of a figure: heading, caption, panels, key. Texts of any length are wrapped to the width
there is, the key stands below the panels, and the page grows by what that takes; panels keep their
size.
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from . import style

POINT = 1 / 72  # inch
MARGIN = 0.08  # inch, round the page
HEADING, CAPTION, KEY = 10, 7.5, 8  # font sizes, points
SPACING = 1.3  # line height / font size
HANDLE = 0.42  # inch: line sample of a key, with its gap
_PATHS = TextToPath()


def literal(text):
    """Text that matplotlib must not read as mathematics."""
    return str(text).replace("$", r"\$")


def width_of(text, size, weight="normal"):
    """Width of one line of text, inches."""
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    return _PATHS.get_text_width_height_descent(text, font, ismath=False)[0] * POINT


def pieces(word, size, width, weight):
    """A word cut into parts that fit `width` inches."""
    parts, part = [], ""
    for letter in word:
        if part and width_of(part + letter, size, weight) > width:
            parts.append(part)
            part = ""
        part += letter
    return parts + [part]


def wrapped(text, size, width, weight="normal"):
    """Lines of at most `width` inches; breaks between words, inside a word only if it must."""
    lines, line = [], ""
    for word in str(text).split():
        for i, part in enumerate(pieces(word, size, width, weight)):
            longer = f"{line} {part}" if line and i == 0 else part
            if line and (i > 0 or width_of(longer, size, weight) > width):
                lines.append(line)
                longer = part
            line = longer
    return lines + [line]


def block(text, size, width):
    """wrapped(), as one text for matplotlib."""
    return literal("\n".join(wrapped(text, size, width)))


@dataclass
class Key:
    """The entries below the panels, laid out in as many columns as fit."""

    handles: list
    columns: int
    height: float  # inches

    @staticmethod
    def of(handles, width):
        if not handles:
            return Key([], 1, 0.0)
        column = HANDLE + max(width_of(h.get_label(), KEY) for h in handles) + 0.18
        columns = max(1, min(4, len(handles), int(width / column)))
        lines = []
        for h in handles:
            text = wrapped(h.get_label(), KEY, width / columns - HANDLE - 0.18)
            h.set_label(literal("\n".join(text)))
            lines.append(len(text))
        per_column = -(-len(handles) // columns)
        tallest = max(sum(lines[i : i + per_column]) for i in range(0, len(lines), per_column))
        return Key(handles, columns, (tallest * SPACING + per_column * 0.25) * KEY * POINT + 0.1)


class Page:
    """A figure of `height` inches of panels under a heading and a caption, with the key below."""

    def __init__(self, experiment, heading, caption, height, handles=()):
        self.width = style.WIDTH - 2 * MARGIN
        title = experiment.title.strip() if experiment else ""
        title = f"{title}: {heading}" if title else heading
        self.head = wrapped(title, HEADING, self.width, "bold")
        self.foot = wrapped(caption, CAPTION, self.width)
        self.key = Key.of(list(handles), self.width)
        above = len(self.head) * HEADING * SPACING * POINT + 0.1
        above += len(self.foot) * CAPTION * SPACING * POINT + MARGIN if caption else 0
        total = above + height + self.key.height + 2 * MARGIN
        self.figure = plt.figure(figsize=(style.WIDTH, total))
        self.figure.get_layout_engine().set(
            rect=(
                MARGIN / style.WIDTH,
                (self.key.height + MARGIN) / total,
                self.width / style.WIDTH,
                height / total,
            ),
            hspace=0.04,
            h_pad=0.06,
        )
        self._texts(total)

    def _texts(self, total):
        at = {"x": MARGIN / style.WIDTH, "ha": "left", "va": "top", "linespacing": SPACING}
        y = total - MARGIN
        self.figure.text(
            y=y / total, s=literal("\n".join(self.head)), fontsize=HEADING, weight="bold", **at
        )
        y -= len(self.head) * HEADING * SPACING * POINT + 0.04
        self.figure.text(
            y=y / total, s=literal("\n".join(self.foot)), fontsize=CAPTION, color="#444444", **at
        )
        if self.key.handles:
            self.figure.legend(
                handles=self.key.handles,
                loc="upper left",
                bbox_to_anchor=(0.0, (self.key.height + MARGIN / 2) / total),
                ncol=self.key.columns,
                fontsize=KEY,
                handlelength=HANDLE / POINT / KEY - 0.8,
                handletextpad=0.6,
                columnspacing=1.0,
                borderpad=0.2,
                labelspacing=0.25,
            )

    def panels(self, rows, columns, **options):
        """2-D array of axes."""
        return self.figure.subplots(rows, columns, squeeze=False, **options)

    def save(self, out, name):
        return style.save(self.figure, out, name)


def grid(n):
    """(rows, columns) of n small panels."""
    columns = n if n < 4 else 2 if n == 4 else 3
    return -(-n // columns), columns


def title(ax, text, width, color="black", size=8.5):
    """A panel's title, wrapped to `width` inches."""
    ax.set_title(block(text, size, width), fontsize=size, color=color)


def y_label(ax, text, height):
    """The label of the y axis, wrapped to `height` inches."""
    ax.set_ylabel(block(text, 8, height))


def key_handles(look, labels, more=()):
    """Line samples of the labels; more: handles after them."""
    return [
        plt.Line2D([], [], color=look[k].color, ls=look[k].dash, marker=look[k].marker, label=k)
        for k in labels
    ] + list(more)
