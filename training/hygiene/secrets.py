"""Keys, tokens and passwords in texts.

In: texts. Out: whether one stands there. The forms are those that detect-secrets knows.
"""

import re
from functools import cache

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector

NO_SECRETS = {"Public IP (ipv4)"}
"""Of what detect-secrets looks for, what is no secret."""
# Every known form has a run of at least sixteen such signs, a user and password in an address, or
# the head of a key file. Most texts have none of these, and forty patterns need not be tried.
_MAYBE = re.compile(r"[A-Za-z0-9_\-+/=.]{16}|://[^/\s:]+:|-----BEGIN|PuTTY-User")


def stand_in(text: str) -> bool:
    """Whether a text holds a secret of a known form."""
    return _MAYBE.search(text) is not None and any(form.search(text) for form in _forms())


@cache
def _forms() -> tuple[re.Pattern[str], ...]:
    found: list[re.Pattern[str]] = []
    for name, detector in sorted(get_mapping_from_secret_type_to_class().items()):
        if issubclass(detector, RegexBasedDetector) and name not in NO_SECRETS:
            found += detector().denylist
    return tuple(found)
