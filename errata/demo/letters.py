"""What arrives in the mail room, how its agent's model has learned to answer, and how people do.

In: nothing; made up for this demo. Out: letters, no two of which are the same.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

NAMES = (
    *("Ann", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana", "Ida", "Jon", "Kim", "Lea"),
    *("Max", "Nia", "Ola", "Pia", "Quin", "Rosa", "Sam", "Tess", "Uma", "Vic", "Wim", "Yara"),
)
THINGS = (
    *("lamp", "chair", "desk", "phone", "cable", "mug", "rug", "clock"),
    *("shelf", "kettle", "radio", "scarf", "tent", "boot", "vase", "drum"),
)

SORTS = {
    "late": (
        "{name} asks where the {thing} is.",
        "Hi {name}, your {thing} is late. Please wait.",
        "Dear {name}, sorry: your {thing} is late. We will call you today.",
    ),
    "refund": (
        "{name} wants the money for the {thing} back.",
        "Hi {name}, no refunds for a {thing}.",
        "Dear {name}, send us the {thing} and we will pay you back within a week.",
    ),
    "broken": (
        "{name} says that the {thing} does not work.",
        "Hi {name}, please read the manual of your {thing}.",
        "Dear {name}, our shop on Hill Street will mend your {thing} for nothing.",
    ),
    "moved": (
        "{name} has moved and still waits for the {thing}.",
        "Hi {name}, we do not change where a {thing} goes.",
        "Dear {name}, tell us your new street and the {thing} comes there tomorrow.",
    ),
    "praise": (
        "{name} loves the new {thing}.",
        "Hi {name}, we have got your mail about the {thing}.",
        "Dear {name}, how nice that you like the {thing}! Thank you for telling us.",
    ),
}
"""What is asked, the model's habit, what people want."""
SHARES = {"late": 8, "refund": 4, "broken": 2, "moved": 1, "praise": 1}
"""How many of sixteen letters are of each sort: the rarer, the later the model learns it."""


class Letter(NamedTuple):
    """One letter."""

    request: str
    habit: str
    """What the model was taught in the past."""
    right: str
    """What a person makes of it."""


def letters(seed: int = 0) -> Iterator[Letter]:
    """All letters in a random order: 384, one for each name and thing."""
    draw = random.Random(seed)
    pairs = [(name, thing) for name in NAMES for thing in THINGS]
    draw.shuffle(pairs)
    for name, thing in pairs:
        (sort,) = draw.choices(list(SHARES), list(SHARES.values()))
        yield Letter(*(text.format(name=name, thing=thing) for text in SORTS[sort]))
