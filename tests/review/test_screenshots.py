"""The screenshot of a click: decoded safely, with grid and point, never fetched."""

import random
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, ImageChops

from errata.errors import Malformed
from errata.protocol import Point
from review.argilla import screenshots
from review.argilla.screenshots import Unreadable
from tests.review import pictures

RING = (214, 0, 28)
SIZES = [(64, 64), (390, 844), (1280, 800), (3840, 2160)]


def at(x: float, y: float) -> Point:
    return Point(x=x, y=y)


def noise(width: int, height: int) -> Image.Image:
    content = random.Random(1).randbytes(width * height * 3)
    return Image.frombytes("RGB", (width, height), content)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ground", ["white", "black", (128, 128, 128)])
def test_grid_and_point_show_on_any_ground_and_keep_the_size(
    size: tuple[int, int], ground: Any
) -> None:
    before = pictures.plain(*size, ground)
    drawn = screenshots.draw(pictures.url(before), at(size[0] // 2, size[1] // 2))
    after = pictures.open_url(drawn.url)
    assert (after.size, drawn.size) == (size, size)
    colours = {colour for _, colour in after.getcolors(1 << 24) or ()}
    assert {(0, 0, 0), (255, 255, 255), RING} <= colours
    assert after.getpixel((size[0] // 2, size[1] // 2)) == RING
    # what is drawn leaves most of the picture alone
    alike = ImageChops.difference(before, after).convert("L").histogram()[0]
    assert alike > size[0] * size[1] * (0.4 if size[0] < 100 else 0.9)


def test_the_point_is_drawn_where_it_is_and_only_if_it_is_inside() -> None:
    url = pictures.url(pictures.plain(1280, 800))
    drawn = pictures.open_url(screenshots.draw(url, at(900, 300)).url)
    reds = [(x, y) for x in range(1280) for y in range(800) if drawn.getpixel((x, y)) == RING]
    ring = [(x, y) for x, y in reds if abs(x - 900) <= 40 and abs(y - 300) <= 40]
    assert len(ring) > 100
    assert (min(x for x, _ in ring) + max(x for x, _ in ring)) / 2 == pytest.approx(900, abs=2)
    without = pictures.open_url(screenshots.draw(url, at(1280, 300)).url)
    assert RING not in {colour for _, colour in without.getcolors(1 << 24) or ()}


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "AVIF"])
def test_every_form_that_the_protocol_takes_is_read(form: str) -> None:
    url = pictures.url(pictures.plain(80, 60), form)
    assert screenshots.size(url) == (80, 60)
    drawn = screenshots.draw(url, None)
    assert (drawn.size, drawn.moves) == ((80, 60), False)
    assert drawn.sha256 == pictures.sha256(url)


def test_of_a_moving_picture_the_first_is_shown_and_that_is_said() -> None:
    frames = [pictures.plain(80, 60, colour) for colour in ("white", "black")]
    url = pictures.url(frames[0], "GIF", save_all=True, append_images=frames[1:])
    drawn = screenshots.draw(url, None)
    assert drawn.moves
    assert pictures.open_url(drawn.url).getpixel((79, 59)) == (255, 255, 255)


def test_a_picture_lies_as_a_browser_shows_it_and_on_white() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    url = pictures.url(pictures.plain(80, 60), "JPEG", exif=turned)
    assert screenshots.size(url) == screenshots.draw(url, None).size == (60, 80)
    clear = Image.new("RGBA", (80, 60), (255, 0, 0, 0))
    drawn = screenshots.draw(pictures.url(clear), None)
    assert pictures.open_url(drawn.url).getpixel((79, 59)) == (255, 255, 255)


def test_what_is_too_large_as_png_becomes_jpeg_of_the_same_size() -> None:
    # a picture of noise: nothing compresses worse
    url = pictures.url(noise(1920, 1080), "JPEG", quality=40)
    drawn = screenshots.draw(url, at(5, 5))
    assert drawn.url.startswith("data:image/jpeg;base64,")
    assert len(drawn.url) <= screenshots.LARGEST
    assert pictures.open_url(drawn.url).size == (1920, 1080)


def _claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is that large."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    parts = [b"\x89PNG\r\n\x1a\n", struct.pack(">I", 13), chunk]
    parts += [struct.pack(">I", zlib.crc32(chunk)), struct.pack(">I", 0), b"IEND"]
    return b"".join([*parts, struct.pack(">I", zlib.crc32(b"IEND"))])


WHOLE = pictures.file(noise(200, 200))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://127.0.0.1:9/a.png", "no data URL"),
        ("data:image/png,abc", "no data URL"),
        ("data:image/png;base64,####", "not base64"),
        (f"data:image/png;base64,{pictures.SVG}", "no PNG, JPEG"),
        (pictures.wrap(b"%!PS-Adobe-3.0 EPSF-3.0"), "no PNG, JPEG"),
        (pictures.wrap(b""), "no PNG, JPEG"),
        (pictures.wrap(WHOLE[: len(WHOLE) // 2]), "cannot be decoded"),
        (pictures.wrap(_claims(100, 100)), "cannot be decoded"),
        (pictures.wrap(_claims(60_000, 60_000)), "too large"),
        (pictures.wrap(_claims(30_000, 1)), "too large"),
        (pictures.url(Image.new("I;16", (64, 64))), "8 bits"),
    ],
)
def test_what_is_no_picture_or_lies_about_itself_is_refused(url: str, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        screenshots.draw(url, at(1, 1))


def test_a_file_of_another_form_than_it_says_is_read_for_what_it_is() -> None:
    url = pictures.wrap(pictures.file(pictures.plain(80, 60), "JPEG"), "PNG")
    assert screenshots.draw(url, None).size == (80, 60)


@pytest.mark.parametrize(
    ("text", "x", "y"),
    [
        ("412,380", 412, 380),
        (" 412 , 380\n", 412, 380),
        ("(412, 380)", 412, 380),
        ("412 380", 412, 380),
        ("412.5,.25", 412.5, 0.25),
        ("-1,+2", -1, 2),
        ('{"x": 5, "y": 6.5}', 5, 6.5),
    ],
)
def test_a_point_is_read_as_people_write_it(text: str, x: float, y: float) -> None:
    assert screenshots.read(text) == at(x, y)


@pytest.mark.parametrize(
    "text",
    ["", "412", "412,", "a,b", "1,2,3", "1e3,2", "nan,1", "412,5,380", '{"x": 5}', "{", "[1,2]"],
)
def test_what_is_no_point_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        screenshots.read(text)


@pytest.mark.parametrize("point", [at(412, 380), at(0.5, 1234.5678), at(-3, 0)])
def test_a_point_that_is_written_reads_the_same(point: Point) -> None:
    assert screenshots.read(screenshots.written(point)) == point
