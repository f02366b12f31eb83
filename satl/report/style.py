"""How all figures look and how they are saved: one palette, one footer, the same bytes again."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from satl.config import Known, known_title, ratio_name
from satl.core.files import writing

LineStyles = dict[str, dict[str, Any]]
FORMATS = ("png", "pdf")
WIDE = 7.2  # inches: the text width of a page
NARROW = 5.0
FOOTER_HEIGHT = 0.16  # inches
DPI = 150
INK, FAINT = "#22272e", "#7a838f"
# seaborn's palette for colour-blind readers, less pink and yellow: too pale for lines and names.
# Nine to be seen at once, then darker ones that differ from them, and are dashed, to be sure.
_FIRST = [
    *(c for i, c in enumerate(sns.color_palette("colorblind")) if i not in (6, 8)),
    "#3b2a6e",
]
COLOURS = [*_FIRST, "#a3123a", "#77820c", "#00626e", "#22272e", "#b23fd0"]
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
METADATA = {
    "png": {"Software": "satl-bench"},
    "pdf": {"Creator": "satl-bench", "Producer": "satl-bench", "CreationDate": None},
}
_SETTINGS: dict[str, Any] = {
    "font.size": 8, "axes.titlesize": 8.5, "axes.labelsize": 8, "legend.fontsize": 7.5,
    "xtick.labelsize": 7.5, "ytick.labelsize": 7.5, "font.family": "DejaVu Sans",
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.edgecolor": "#b8bfc9", "axes.linewidth": 0.8, "grid.color": "#e8ebef",
    "axes.spines.top": False, "axes.spines.right": False, "grid.linewidth": 0.7,
    "xtick.bottom": True, "ytick.left": True, "xtick.major.size": 3, "ytick.major.size": 3,
    "lines.linewidth": 1.5, "lines.markersize": 4.5, "legend.frameon": False,
    # Names of categories and methods are plain text, whatever signs they hold.
    "text.parse_math": False, "pdf.fonttype": 42, "svg.hashsalt": "satl-bench",
}  # fmt: skip

_FOOTER: dict[str, Any] = {"fontsize": 5, "color": "#a3abb5"}


@contextmanager
def house_style() -> Iterator[None]:
    """The settings under which figures are drawn and saved."""
    with mpl.rc_context(), sns.axes_style("whitegrid"):
        mpl.rcParams.update(cast(Any, _SETTINGS))  # its keys are typed as literals
        yield


def line_styles(names: Sequence[str]) -> LineStyles:
    """A style per name: fourteen differ in colour, up to forty-two in colour or dashes.

    Neighbours differ in their marker as well.
    """
    styles = {}
    for i, name in enumerate(names):
        lap, place = divmod(i, len(COLOURS))
        dashes = lap + 1 if lap else int(place >= len(_FIRST))
        styles[name] = {
            "color": COLOURS[place],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": DASHES[dashes % len(DASHES)],
            "markeredgecolor": "white",
            "markeredgewidth": 0.6,
        }
    return styles


def percent(known: Known) -> str:
    """How a panel names its known ratio, 0.1 -> '10 % known', or its setting."""
    return known if isinstance(known, str) else f"{known_title(known)} known"


def in_order(values: Iterable[Known]) -> list[Known]:
    """Each of `values` once: ratios ascending, then the names of other settings."""
    return sorted(set(values), key=ratio_name)


def lowest_middle_highest(values: Iterable[Known]) -> list[Known]:
    """Up to three ratios among `values`, ascending, then all other settings."""
    ordered = in_order(values)
    ratios = [value for value in ordered if not isinstance(value, str)]
    chosen = {ratios[0], ratios[(len(ratios) - 1) // 2], ratios[-1]} if ratios else set()
    return [value for value in ordered if isinstance(value, str) or value in chosen]


def width_of(panels: int) -> float:
    """Inches for so many panels beside each other: the width of a page, unless it is too narrow."""
    return max(WIDE, 1.6 * panels)


def finish_panels(panels: np.ndarray, ratios: Sequence[Known]) -> None:
    """Title each column of (rows, columns) `panels` over epochs with its known ratio."""
    for column, ratio in enumerate(ratios):
        panels[0, column].set_title(percent(ratio))
        panels[-1, column].set_xlabel("epoch")
        panels[-1, column].xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    for axes in panels[:, 1:].flat:
        axes.tick_params(left=False)
    for axes in panels[:-1].flat:
        axes.tick_params(bottom=False)
    panels[0, 0].figure.align_ylabels()


def legend_below(figure: Figure, handles: Sequence[Artist], title: str = "") -> None:
    """A legend under the panels, in as many columns as the labels leave room for.

    The figure grows by the height of the legend, so that the panels keep theirs.
    """
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = min(4, len(handles), int(figure.get_figwidth() / (0.5 + 0.053 * longest)) or 1)
    rows = -(-len(handles) // columns) + bool(title)
    figure.set_figheight(figure.get_figheight() + 0.2 + 0.16 * rows)
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns,
        title=title or None, title_fontsize=7.5,
    )  # fmt: skip


def save(figure: Figure, stem: Path, footer: str) -> list[Path]:
    """Write `stem`.png (150 dpi) and `stem`.pdf with a small `footer`; returns both paths."""
    strip = FOOTER_HEIGHT / figure.get_figheight()
    figure.text(0.995, 0.02 / figure.get_figheight(), footer, ha="right", va="bottom", **_FOOTER)
    figure.set_dpi(DPI)
    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)  # all figures here are made with it
    layout.set(rect=(0, strip, 1, 1 - strip))
    # Laid out once for both files; left in place, it would be done again for each of them.
    layout.execute(figure)
    figure.set_layout_engine(None)
    for legend in figure.legends:  # the layout keeps panels off the footer, but not legends
        legend.set_bbox_to_anchor((0, strip, 1, 1), figure.transFigure)
    paths = [stem.with_name(f"{stem.name}.{suffix}") for suffix in FORMATS]
    for path, suffix in zip(paths, FORMATS, strict=True):
        with writing(path) as temporary:
            figure.savefig(temporary, format=suffix, dpi=DPI, metadata=METADATA[suffix])
    return paths
