"""Pictures as agents send them.

In: sizes and colours. Out: data URLs, and back.
"""

import base64
import hashlib
import io
from typing import Any

from PIL import Image

SVG = base64.b64encode(
    b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
).decode()


def plain(width: int, height: int, colour: Any = "white") -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def file(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def url(picture: Image.Image, form: str = "PNG", **options: Any) -> str:
    return wrap(file(picture, form, **options), form)


def wrap(content: bytes, form: str = "PNG") -> str:
    return f"data:image/{form.lower()};base64,{base64.b64encode(content).decode()}"


def open_url(given: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(given.partition(",")[2]))).convert("RGB")


def sha256(given: str) -> str:
    return hashlib.sha256(base64.b64decode(given.partition(",")[2])).hexdigest()
