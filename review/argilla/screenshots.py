"""The screenshot of a click as a labeler sees it: with a grid of coordinates and the point.

In: a data URL and a point. Out: the picture with both drawn in, as a data URL of the same pixel
size; what it was made of. Nothing is fetched: what is no data URL of a picture is refused, and
what is drawn is the decoded picture, never the file that was sent.
"""

import base64
import binascii
import hashlib
import io
import re
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from errata import protocol
from errata.digest import canonical
from errata.errors import Malformed
from ingestion import bodies

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "AVIF")
"""What is decoded. Vector graphics are none of these: they could hold script and addresses."""
MOST_PIXELS = 7680 * 4320
MOST_SIDE = 16_384
"""A small file can claim a picture that fills the memory; these are looked at before decoding."""
LARGEST = 5_000_000
"""Characters of a data URL that Argilla takes."""
QUALITIES = (90, 75, 60, 45, 30, 15)
"""Of JPEG, from the best on, where PNG is too large."""
STEPS = tuple(digit * 10**power for power in range(1, 5) for digit in (1, 2, 5))
"""Distances of grid lines in pixels."""
WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (214, 0, 28)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Unreadable(Exception):
    """The screenshot cannot be shown; the message says why, for a labeler."""


class Size(NamedTuple):
    """Pixels of a picture."""

    width: int
    height: int

    def holds(self, point: protocol.Point) -> bool:
        """Whether a point lies inside."""
        return 0 <= point.x < self.width and 0 <= point.y < self.height

    def __str__(self) -> str:
        return f"{self.width} pixels wide and {self.height} high"


class Drawn(NamedTuple):
    """A screenshot as it is shown."""

    url: str
    size: Size
    sha256: str
    """Of the file that the agent sent, before anything was drawn."""
    moves: bool
    """Whether there is more than the picture that is shown, as in an animation."""


def size(url: str) -> Size:
    """Pixels of a screenshot; reads its head only.

    Raises:
        Unreadable: It is no picture that we decode.
    """
    with _opened(_file(url)) as image:
        return _turned(image)


def draw(url: str, point: protocol.Point | None) -> Drawn:
    """Decode a screenshot and draw the grid and the point on it.

    Args:
        url: A data URL with base64 of a PNG, JPEG, WebP, GIF or AVIF.
        point: In pixels from the upper left; one outside of the picture is not drawn.

    Raises:
        Unreadable: It is no such picture, is cut off, or is too large.
    """
    file = _file(url)
    with _opened(file) as image:
        moves = bool(getattr(image, "is_animated", False))
        picture = _decoded(image)
    found = Size(*picture.size)
    _grid(picture)
    if point is not None and found.holds(point):
        _cross(picture, point)
    return Drawn(_encoded(picture), found, hashlib.sha256(file).hexdigest(), moves)


def _file(url: str) -> bytes:
    head, comma, data = url.partition(",")
    if not comma or not re.fullmatch(r"data:image/[a-z0-9.+-]+;base64", head):
        raise Unreadable("it is no data URL with base64")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise Unreadable("it is not base64") from error


def _opened(file: bytes) -> Image.Image:
    """The picture, of which no more than the head has been read."""
    try:
        image = Image.open(io.BytesIO(file), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unreadable("it is too large") from error
    except UnidentifiedImageError as error:
        raise Unreadable("it is no PNG, JPEG, WebP, GIF or AVIF picture") from error
    except Exception as error:  # decoders raise what they like about files that lie
        raise Unreadable(f"it cannot be decoded: {type(error).__name__}") from error
    width, height = image.size
    if max(width, height) > MOST_SIDE or width * height > MOST_PIXELS:
        raise Unreadable(f"it is too large: {Size(width, height)}")
    return image


def _turned(image: Image.Image) -> Size:
    """The size as a browser shows it, which heeds the orientation that a camera has noted."""
    width, height = image.size
    sideways = image.getexif().get(0x0112) in {5, 6, 7, 8}
    return Size(height, width) if sideways else Size(width, height)


def _decoded(image: Image.Image) -> Image.Image:
    """The first frame in colours of 8 bits, on white where it is transparent."""
    if image.mode.startswith(("I", "F")):
        raise Unreadable("it has more than 8 bits for a colour")
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        if not upright.has_transparency_data:
            return upright.convert("RGB")
        layer = upright.convert("RGBA")
        ground = Image.new("RGB", layer.size, WHITE)
        ground.paste(layer, mask=layer.getchannel("A"))
    except Exception as error:  # as above
        raise Unreadable(f"it cannot be decoded: {error}") from error
    return ground


def _unit(picture: Image.Image) -> int:
    """Height of letters in pixels: a page shows large pictures smaller than they are."""
    return max(9, max(picture.size) // 64)


def _step(length: int, room: int) -> int:
    """Distance of grid lines: about ten on the longer side, and room for their numbers."""
    return next((step for step in STEPS if step * 12 >= length and step >= room), STEPS[-1])


def _grid(picture: Image.Image) -> None:
    """Dashed lines of black and white, so that they show on any ground, with numbers at the edge."""
    draw, unit = ImageDraw.Draw(picture), _unit(picture)
    size = width, height = Size(*picture.size)
    font = ImageFont.load_default(unit)
    room = int(draw.textlength(str(max(width, height)), font)) + unit
    step = _step(max(width, height), room)
    across, down = range(step, width, step), range(step, height, step)
    for x in across:
        for y in range(0, height, 2 * unit):
            _dash(draw, (x, y), (0, unit // 2))
    for y in down:
        for x in range(0, width, 2 * unit):
            _dash(draw, (x, y), (unit // 2, 0))
    for x in across:
        _label(draw, size, (x, 0), str(x), font, anchor="mt")
    for y in down:
        _label(draw, size, (0, y), str(y), font, anchor="lm")


def _dash(draw: ImageDraw.ImageDraw, start: tuple[int, int], half: tuple[int, int]) -> None:
    (x, y), (dx, dy) = start, half
    thick = max(1, max(half) // 10)
    draw.line((x, y, x + dx, y + dy), BLACK, thick)
    draw.line((x + dx, y + dy, x + 2 * dx, y + 2 * dy), WHITE, thick)


def _label(
    draw: ImageDraw.ImageDraw,
    size: Size,
    place: tuple[float, float],
    words: str,
    font: Font,
    *,
    anchor: str,
    ground: tuple[int, int, int] = BLACK,
) -> None:
    """Words on a ground of their own, kept inside of the picture."""
    left, top, right, bottom = draw.textbbox(place, words, font, anchor=anchor)
    pad = max(1, int(bottom - top) // 5)
    dx = _inside(left - pad, right + pad, size.width)
    dy = _inside(top - pad, bottom + pad, size.height)
    draw.rectangle((left + dx - pad, top + dy - pad, right + dx + pad, bottom + dy + pad), ground)
    draw.text((place[0] + dx, place[1] + dy), words, WHITE, font, anchor=anchor)


def _inside(start: float, end: float, length: int) -> float:
    """How far to move what reaches from start to end so that it lies inside; the start goes first."""
    return max(min(0.0, length - 1 - end), -start)


def _cross(picture: Image.Image, point: protocol.Point) -> None:
    """A ring with four arms around the point, open where the point is, and its coordinates."""
    draw, unit = ImageDraw.Draw(picture), _unit(picture)
    x, y = point.x, point.y
    inner, outer, thick = unit * 0.5, unit * 1.8, max(1, unit // 6)
    for colour, more in ((BLACK, 2 * thick), (WHITE, thick), (RED, 0)):
        line = thick + more
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            ends = (x + dx * inner, y + dy * inner, x + dx * outer, y + dy * outer)
            draw.line(ends, colour, line)
        radius = unit + more / 2
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), None, colour, line)
    draw.point((x, y), RED)
    font = ImageFont.load_default(unit)
    size = Size(*picture.size)
    right, low = x > size.width / 2, y > size.height / 2  # its words go towards the middle
    place = (x - outer if right else x + outer, y - outer if low else y + outer)
    anchor = ("r" if right else "l") + ("b" if low else "t")
    _label(draw, size, place, written(point), font, anchor=anchor, ground=RED)


def _encoded(picture: Image.Image) -> str:
    """A data URL that Argilla takes: PNG, else JPEG as good as fits; the pixel size stays."""
    attempts = [("PNG", {"compress_level": 1})]
    attempts += [("JPEG", {"quality": quality, "subsampling": 0}) for quality in QUALITIES]
    for form, options in attempts:
        file = io.BytesIO()
        picture.save(file, form, **options)
        url = f"data:image/{form.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
        if len(url) <= LARGEST:
            return url
    raise Unreadable(f"it is too large: {Size(*picture.size)}, and it does not compress")


def written(point: protocol.Point) -> str:
    """A point as a labeler reads and writes it: `x,y`."""
    return f"{canonical(point.x).decode()},{canonical(point.y).decode()}"


NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
PAIR = re.compile(rf"\s*\(?\s*({NUMBER})\s*[,;\s]\s*({NUMBER})\s*\)?\s*")


def read(text: str) -> protocol.Point:
    """A point as a labeler wrote it: two numbers, or the JSON object.

    Raises:
        Malformed: It is neither.
    """
    pair = PAIR.fullmatch(text)
    if pair is not None and len(text) < 100:
        return protocol.Point(x=float(pair[1]), y=float(pair[2]))
    if text.lstrip().startswith("{"):
        return bodies.parse(text, protocol.Point)
    raise Malformed(
        "the correction must be a point: two numbers x,y, such as 412,380", field="correction"
    )
