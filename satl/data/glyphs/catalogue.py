"""What the `glyphs` data set is made of: categories, other characters, and colours.

Every character here is one that the DejaVu Sans font has; nothing is drawn by this module.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """One category of objects that is drawn and annotated.

    `frequency` is the chance (0 to 1) that the category is in a scene of its own group; in
    scenes of the other groups it is `STRAY_FACTOR` times that.  The other numbers make a
    category easy or hard to recognise.
    """

    id: int
    """The COCO category id."""
    name: str
    group: str
    characters: str
    """The glyphs that all count as this category, one character each."""
    frequency: float
    size: tuple[float, float] = (0.26, 0.46)
    """Smallest and largest length of a glyph, as a share of the picture's shorter side."""
    contrast: float = 1.0
    """1 paints with the palette's full ink; near 0 the ink sinks into the background."""
    tilt: float = 25.0
    """Glyphs are turned by up to this many degrees, either way."""
    crowd: float = 0.2
    """Mean number of further instances, once there is one."""


STRAY_FACTOR = 0.145
"""How much rarer a category is outside its own group's scenes."""

SMALL = (0.24, 0.34)
MEDIUM = (0.28, 0.42)

# The ids have gaps, as those of COCO have: a reader that takes an id for a column number
# should fail here, on a small data set, rather than quietly on a large one.
CATEGORIES: tuple[Category, ...] = (
    Category(1, "sun", "weather", "☀☼", 0.80, crowd=0.0, tilt=180),
    Category(2, "cloud", "weather", "☁", 0.95, size=(0.28, 0.56), tilt=8, crowd=0.7),
    Category(3, "umbrella", "weather", "☂☔", 0.45),
    Category(5, "snowflake", "weather", "❄❅❆", 0.22, size=SMALL, contrast=0.7, tilt=180, crowd=1.5),
    Category(7, "king", "chess", "♔♚", 0.72),
    Category(8, "queen", "chess", "♕♛", 0.60),
    Category(9, "knight", "chess", "♘♞", 0.34),
    Category(11, "rook", "chess", "♖♜", 0.16, size=MEDIUM, contrast=0.7),
    Category(13, "heart", "cards", "♥♡", 0.85, tilt=35, crowd=0.4),
    Category(14, "spade", "cards", "♠♤", 0.55, size=MEDIUM, tilt=60, crowd=0.3),
    Category(16, "club", "cards", "♣♧", 0.38, size=MEDIUM, tilt=60, crowd=0.3),
    Category(17, "die", "cards", "⚀⚁⚂⚃⚄⚅", 0.20, tilt=45, crowd=0.6),
    Category(21, "airplane", "travel", "✈", 0.78, tilt=180),
    Category(22, "anchor", "travel", "⚓", 0.50, contrast=0.75),
    Category(24, "flag", "travel", "⚑⚐", 0.26, size=MEDIUM),
    Category(27, "helm", "travel", "☸", 0.14, size=MEDIUM, contrast=0.6, tilt=180, crowd=0.0),
    Category(31, "flower", "picnic", "✿❀❁", 0.95, tilt=180, crowd=0.9),
    Category(32, "cat", "picnic", "🐱😺😸", 0.48, size=(0.30, 0.50), tilt=15),
    Category(35, "hot drink", "picnic", "☕", 0.30, contrast=0.75, tilt=12),
    Category(40, "note", "picnic", "♩♪♫♬", 0.16, size=MEDIUM, contrast=0.9, crowd=0.8),
)

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(category.group for category in CATEGORIES))

PRETRAINING_CHARACTERS = (
    "☃☄★☆☇☈☊☌☎☏☘☙☚☝☞☠☢☣☤☯☹☺☻☽☿♀♃♄♅♆♇♈♉♊♋♌♍♎♏♐♑♒♓"
    "♗♝♙♟♢♦♨♻♾♿⚒⚔⚖⚗⚙⚛⚜⚠⚡⚭⚷✂✆✇✌✍✎✒✓✘✚✥✩✭✱✸✾❂❖❡❦➔➲"
    "⌘⌂⌨⏏☗⬟ΩΨ🐭🐮🐵😀😎"
)
"""What a small backbone learns to tell apart before it sees a scene.  None of these is in a
category, so nothing about the categories themselves is given away."""

DISTRACTORS = "?!%&§¶#@*+~=$¤†¿"
"""Marks that are strewn over backgrounds and never annotated."""


@dataclass(frozen=True)
class Palette:
    """Colours that go together: a gradient, the shade of the pattern upon it, and inks."""

    top: str
    bottom: str
    shade: str
    inks: tuple[str, ...]


@dataclass(frozen=True)
class Mood:
    """A kind of background: its pattern, and the palettes that suit it."""

    pattern: str
    palettes: tuple[Palette, ...]


MOODS: dict[str, Mood] = {
    "weather": Mood(
        "haze",
        (
            Palette("#a3c8e4", "#eef2ee", "#ffffff", ("#2f4a6b", "#cf6246", "#a8741a", "#6b5b95")),
            Palette("#575488", "#dc9a94", "#f3bfae", ("#fff1d6", "#2b2746", "#ffd796", "#4a2440")),
            Palette("#b9c4cf", "#e3e6e8", "#f7f9fa", ("#3c4f63", "#a0525a", "#2f7480", "#7a6a3a")),
        ),
    ),
    "chess": Mood(
        "board",
        (
            Palette("#efe0c4", "#dcc49c", "#a8794f", ("#3b2a20", "#84302a", "#2c4f56", "#5b4a1e")),
            Palette("#d3dadb", "#b3c0c4", "#72858d", ("#22313a", "#8c3440", "#fbf8ee", "#3d3a6b")),
        ),
    ),
    "cards": Mood(
        "felt",
        (
            Palette("#5b9a78", "#3c7a5e", "#1f5040", ("#f8f1e0", "#f6cf6a", "#10281c", "#ffc9bb")),
            Palette("#a3606b", "#7c4050", "#4a2433", ("#fbeee0", "#f3c98b", "#2a1019", "#ffd3d3")),
        ),
    ),
    "travel": Mood(
        "waves",
        (
            Palette("#cfe6e4", "#7fbcc6", "#2f87a3", ("#12394a", "#fff7e6", "#b5412f", "#5a3a6b")),
            Palette("#f2dcc0", "#8fb9c0", "#4c8fa3", ("#1f3d52", "#fff9ee", "#a3402f", "#3f5a3a")),
            Palette("#24345a", "#4a6488", "#6f93b0", ("#f7ecd0", "#f5bf8d", "#aee0ea", "#f6b3bb")),
        ),
    ),
    "picnic": Mood(
        "hills",
        (
            Palette("#e2eecb", "#bcdca9", "#86bb80", ("#2f4f3c", "#b03c66", "#7c4691", "#b85a1c")),
            Palette("#fbe6d4", "#f3d3c3", "#b9c98f", ("#4b3a52", "#b5485a", "#2f6d63", "#a5601f")),
        ),
    ),
    "plain": Mood(
        "bokeh",
        (
            Palette("#f4ece2", "#e4d3d0", "#cbaeb0", ("#41405a", "#ab4a62", "#3f6f80", "#946222")),
            Palette("#e6dff4", "#c9d4ee", "#ffffff", ("#3f3a70", "#a8467c", "#2f6a7c", "#7d5a20")),
            Palette("#3f3a52", "#6a5570", "#b98a9c", ("#fbe9d0", "#f6c27a", "#bfe3d6", "#f7b9c4")),
        ),
    ),
}
