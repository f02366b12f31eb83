"""How the `glyphs` data set is painted: backgrounds, and glyphs put upon them.

Colours are (red, green, blue) triples of 0 to 255, sizes are (width, height) in pixels, and every
random choice comes from the generator that is passed in.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import matplotlib
import numpy as np
from numpy.random import Generator
from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter, ImageFont

from satl.data.glyphs.catalogue import DISTRACTORS, Palette

Colour = tuple[int, int, int]
Size = tuple[int, int]

MASTER_LENGTH = 80
"""Glyphs are rendered once at this length and shrunk from there."""

LIGHT: Colour = (255, 252, 245)
DARK: Colour = (38, 42, 58)


@dataclass(frozen=True)
class Stamp:
    """A glyph at its final size and angle: what is inked, and its outline with holes filled."""

    ink: Image.Image
    body: Image.Image

    @cached_property
    def solid(self) -> np.ndarray:
        """Where the body covers what is below it: bool, (height, width)."""
        return np.asarray(self.body) > 127


@cache
def _font() -> ImageFont.FreeTypeFont:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    # The basic layout is in every build of Pillow; the other one would place glyphs differently.
    return ImageFont.truetype(path, 2 * MASTER_LENGTH, layout_engine=ImageFont.Layout.BASIC)


@cache
def glyph_masks(character: str) -> tuple[Image.Image, Image.Image]:
    """The ink and the body (ink with its holes filled) of a character, as 8-bit masks.

    Both have the same size: the longer side is `MASTER_LENGTH` and two pixels' margin either end.
    """
    left, top, right, bottom = _font().getbbox(character)
    drawn = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(drawn).text((-left, -top), character, fill=255, font=_font())
    drawn = drawn.crop(drawn.getbbox())
    scale = MASTER_LENGTH / max(drawn.size)
    size = tuple(max(1, round(side * scale)) for side in drawn.size)
    ink = Image.new("L", (size[0] + 4, size[1] + 4))
    ink.paste(drawn.resize(size, Image.Resampling.LANCZOS), (2, 2))

    # Whatever the outside cannot reach without crossing ink belongs to the body.
    reached = ink.point(lambda value: 255 if value >= 128 else 0)
    ImageDraw.floodfill(reached, (0, 0), 128)
    inside = reached.point(lambda value: 0 if value == 128 else 255)
    return ink, ImageChops.lighter(ink, inside)


def stamp_glyph(character: str, length: float, angle: float) -> Stamp:
    """A character whose longer side has `length` pixels, turned by `angle` degrees."""
    ink, body = (_turned(mask, length, angle) for mask in glyph_masks(character))
    box = body.getbbox()
    return Stamp(ink.crop(box), body.crop(box))


def _turned(mask: Image.Image, length: float, angle: float) -> Image.Image:
    """A mask of `MASTER_LENGTH` at another length, turned by `angle` degrees."""
    scale = length / MASTER_LENGTH
    size = (max(2, round(mask.width * scale)), max(2, round(mask.height * scale)))
    small = mask.resize(size, Image.Resampling.BILINEAR)
    return small.rotate(angle, Image.Resampling.BILINEAR, expand=True)


def rgb(colour: str) -> Colour:
    """`#rrggbb` as a triple."""
    return ImageColor.getrgb(colour)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` with `share` (0 to 1) of it replaced by `second`."""
    return tuple(round(a + (b - a) * share) for a, b in zip(first, second, strict=True))


def luminance(colour: Colour) -> float:
    """How light a colour looks, 0 (black) to 255 (white)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def paint_stamp(
    picture: Image.Image,
    stamp: Stamp,
    corner: tuple[int, int],
    palette: Palette,
    contrast: float,
    rng: Generator,
) -> None:
    """Put a glyph into `picture`, its top left at `corner`, in one of the palette's inks.

    The holes of the glyph get a tint of the ink, so that what is drawn in outline only (a cup,
    a cat) is an object too, and a soft shadow lifts the whole off the background.  `contrast`
    below 1 lets all of it sink into the colour that was there.
    """
    (left, top), (width, height) = corner, stamp.body.size
    around = _mean_colour(picture, (left, top, left + width, top + height))
    ink = _legible_ink(palette, around, rng)
    far = LIGHT if luminance(ink) < 140 else DARK
    tint = mix(around, mix(ink, far, 0.8), contrast)

    depth = max(1, round(max(width, height) / 22))
    margin = 2 * depth
    wide = Image.new("L", (width + 2 * margin, height + 2 * margin))
    wide.paste(105, (margin, margin), stamp.body)
    shadow = wide.filter(ImageFilter.GaussianBlur(depth))
    picture.paste((20, 24, 40), (left - margin + depth // 2, top - margin + depth), shadow)
    # A thin rim keeps two glyphs of one ink apart where they overlap.
    rim = wide.filter(ImageFilter.MaxFilter(3))
    picture.paste(mix(around, far, contrast), (left - margin, top - margin), rim)
    picture.paste(tint, corner, stamp.body)
    picture.paste(mix(around, ink, contrast), corner, stamp.ink)


def _mean_colour(picture: Image.Image, box: tuple[int, int, int, int]) -> Colour:
    """The mean over the part of `box` (left, top, right, bottom) that is in the picture."""
    left, top, right, bottom = box
    inside = (max(left, 0), max(top, 0), min(right, picture.width), min(bottom, picture.height))
    return picture.resize((1, 1), Image.Resampling.BOX, box=inside).getpixel((0, 0))


def _legible_ink(palette: Palette, around: Colour, rng: Generator) -> Colour:
    """Any ink of the palette but the one nearest in lightness to what is `around`."""
    inks = sorted(map(rgb, palette.inks), key=lambda ink: abs(luminance(ink) - luminance(around)))
    return inks[rng.integers(1, len(inks))]


# Backgrounds
#
# A pattern draws on a canvas of twice the final size, which is then halved: that smooths every
# edge at once.  `draw` blends, so a colour may carry an opacity as its fourth number.


def _haze(draw: ImageDraw.ImageDraw, size: Size, shade: Colour, rng: Generator) -> None:
    """Long soft bands, as in a hazy sky."""
    width, height = size
    for _ in range(7):
        x, y = rng.uniform(-0.2, 1.0) * width, rng.uniform(0, 1) * height
        long, thick = rng.uniform(0.4, 0.9) * width, rng.uniform(0.03, 0.09) * height
        box = (x, y, x + long, y + thick)
        draw.rounded_rectangle(box, thick / 2, fill=(*shade, int(rng.integers(40, 100))))


def _board(draw: ImageDraw.ImageDraw, size: Size, shade: Colour, rng: Generator) -> None:
    """A chequered board, seen from above and turned a little."""
    step = rng.uniform(0.22, 0.36) * min(size)
    angle = rng.uniform(-0.5, 0.5)
    along = (step * math.cos(angle), step * math.sin(angle))
    fill = (*shade, int(rng.integers(60, 110)))
    for row in range(-5, 6):
        for column in range(-5 + row % 2, 6, 2):
            x = size[0] / 2 + column * along[0] - row * along[1]
            y = size[1] / 2 + column * along[1] + row * along[0]
            corners = [
                (x, y),
                (x + along[0], y + along[1]),
                (x + along[0] - along[1], y + along[1] + along[0]),
                (x - along[1], y + along[0]),
            ]
            draw.polygon(corners, fill=fill)


def _felt(draw: ImageDraw.ImageDraw, size: Size, shade: Colour, rng: Generator) -> None:
    """Nested ovals that darken towards the rim, as on a card table."""
    x, y = size[0] * rng.uniform(0.35, 0.65), size[1] * rng.uniform(0.35, 0.65)
    for reach in (0.55, 0.75, 0.95):
        box = (x - reach * size[0], y - reach * size[1], x + reach * size[0], y + reach * size[1])
        draw.ellipse(box, outline=(*shade, 60), width=round(0.2 * max(size)))


def _waves(draw: ImageDraw.ImageDraw, size: Size, shade: Colour, rng: Generator) -> None:
    """Bands of water, each in front of the one above it."""
    width, height = size
    length, swell = width * rng.uniform(0.25, 0.5), height * rng.uniform(0.015, 0.035)
    for level in range(int(rng.integers(1, 3)), 7):
        phase = rng.uniform(0, 2 * math.pi)
        crest = [
            (x, height * level / 7 + swell * math.sin(2 * math.pi * x / length + phase))
            for x in range(0, width + 8, 8)
        ]
        draw.polygon([*crest, (width + 8, height), (0, height)], fill=(*shade, 34))


def _hills(draw: ImageDraw.ImageDraw, size: Size, shade: Colour, rng: Generator) -> None:
    """Rolling hills, the nearer the denser."""
    width, height = size
    for level in (0.45, 0.6, 0.75):
        x, y = width * rng.uniform(0, 1), height * (level + rng.uniform(-0.08, 0.08))
        reach = width * rng.uniform(0.7, 1.1)
        draw.ellipse((x - reach, y, x + reach, y + 1.5 * height), fill=(*shade, 85))


def _bokeh(draw: ImageDraw.ImageDraw, size: Size, shade: Colour, rng: Generator) -> None:
    """Discs of light out of focus."""
    for _ in range(16):
        x, y = rng.uniform(0, size[0]), rng.uniform(0, size[1])
        radius = rng.uniform(0.04, 0.17) * min(size)
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, fill=(*shade, int(rng.integers(25, 85))))


PATTERNS: dict[str, Callable[[ImageDraw.ImageDraw, Size, Colour, Generator], None]] = {
    "haze": _haze,
    "board": _board,
    "felt": _felt,
    "waves": _waves,
    "hills": _hills,
    "bokeh": _bokeh,
}


def paint_background(size: Size, pattern: str, palette: Palette, rng: Generator) -> Image.Image:
    """An RGB picture of `size` (width, height): a gradient, one of `PATTERNS`, clutter."""
    corners = Image.new("RGB", (2, 2))
    top, bottom = rgb(palette.top), rgb(palette.bottom)
    lean = rng.uniform(0, 0.4)
    corners.putdata([top, mix(top, bottom, lean), mix(bottom, top, lean), bottom])
    canvas = corners.resize((2 * size[0], 2 * size[1]), Image.Resampling.BILINEAR)
    PATTERNS[pattern](ImageDraw.Draw(canvas, "RGBA"), canvas.size, rgb(palette.shade), rng)
    _strew_strokes(ImageDraw.Draw(canvas, "RGBA"), canvas.size, palette, rng)
    picture = canvas.reduce(2)
    if rng.random() < 0.5:  # out of focus
        picture = picture.filter(ImageFilter.BoxBlur(rng.uniform(0.5, 4)))
    _strew_marks(picture, palette, rng)
    return picture


def _strew_strokes(draw: ImageDraw.ImageDraw, size: Size, palette: Palette, rng: Generator) -> None:
    """Thin arcs in the palette's inks."""
    for _ in range(int(rng.integers(0, 5))):
        x, y = rng.uniform(0, size[0]), rng.uniform(0, size[1])
        radius, start = rng.uniform(0.1, 0.5) * min(size), rng.uniform(0, 360)
        colour = rgb(palette.inks[rng.integers(len(palette.inks))])
        draw.arc(
            (x - radius, y - radius, x + radius, y + radius),
            start,
            start + rng.uniform(30, 120),
            fill=(*colour, int(rng.integers(50, 120))),
            width=int(rng.integers(2, 6)),
        )


def _strew_marks(picture: Image.Image, palette: Palette, rng: Generator) -> None:
    """Small faint characters that look like objects and are none."""
    for _ in range(int(rng.integers(0, 5))):
        character = DISTRACTORS[rng.integers(len(DISTRACTORS))]
        length = rng.uniform(0.07, 0.17) * min(picture.size)
        mark = _turned(glyph_masks(character)[0], length, rng.uniform(-40, 40))
        faded = Image.new("L", mark.size)
        faded.paste(int(rng.integers(65, 150)), (0, 0), mark)
        spot = (int(rng.integers(picture.width)), int(rng.integers(picture.height)))
        picture.paste(rgb(palette.inks[rng.integers(len(palette.inks))]), spot, faded)
