"""Sealing bytes, so that the database alone does not give them away.

In: a ring of keys, bytes, and what they are bound to. Out: ciphertexts that open only with one of
the keys and for the same thing. AES-256-GCM with a fresh nonce of 96 bits. Nothing is read or kept.
"""

import base64
import binascii
import hashlib
import re
import secrets
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from errata.errors import KeyMissing, Malformed, Tampered

SETTING = "ERRATA_STATE_KEYS"
KEY_BYTES = 32
NONCE_BYTES = 12


class Sealed(NamedTuple):
    """Bytes as they may lie in a database."""

    key: str
    """Fingerprint of the key that opens them."""
    box: bytes
    """Nonce, ciphertext, tag."""


class Ring:
    """Keys: the first seals, all open. One can be retired once nothing is sealed with it."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self._keys = {_fingerprint(key): AESGCM(key) for key in keys}

    def __repr__(self) -> str:
        return f"Ring({', '.join(self._keys)})"

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of the keys, that of the one that seals first."""
        return tuple(self._keys)

    def seal(self, content: bytes, bound: bytes) -> Sealed:
        """Seal bytes.

        Args:
            content: What nobody shall read.
            bound: What it belongs to; opening needs the same.

        Raises:
            KeyMissing: There is no key.
        """
        name = next(iter(self._keys), None)
        if name is None:
            raise KeyMissing(f"there is no key to seal a state with: set {SETTING}")
        nonce = secrets.token_bytes(NONCE_BYTES)
        return Sealed(name, nonce + self._keys[name].encrypt(nonce, content, bound))

    def open(self, sealed: Sealed, bound: bytes) -> bytes:
        """Open what was sealed.

        Raises:
            KeyMissing: Its key is not on this ring.
            Tampered: It was changed, or belongs to something else.
        """
        key = self._keys.get(sealed.key)
        if key is None:
            raise KeyMissing(
                f"the state was sealed with key {sealed.key}, which is not there: "
                f"add it to {SETTING}, after the first"
            )
        nonce, rest = sealed.box[:NONCE_BYTES], sealed.box[NONCE_BYTES:]
        try:
            return key.decrypt(nonce, rest, bound)
        except (InvalidTag, ValueError) as error:  # ValueError: too short to be one of ours
            raise Tampered(
                "the state was changed in the database, or belongs to another row, and is not "
                "opened; begin the run anew"
            ) from error


def new_key() -> str:
    """A key, as it is written down."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def ring(*texts: str | None) -> Ring:
    """The ring of keys that are written down, in their order.

    Args:
        texts: Base64 of 32 bytes each, with commas or white space between; None: no keys.

    Raises:
        Malformed: One is no such key; says which, and not what it is.
    """
    words = [word for text in texts for word in re.split(r"[\s,]+", text or "") if word]
    return Ring(tuple(_key(number, word) for number, word in enumerate(words, 1)))


def _key(number: int, word: str) -> bytes:
    try:
        key = base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        # `from None` and no value: neither the message nor its cause may hold a key.
        raise Malformed(
            f"key {number} of {SETTING} is not the base64 of {KEY_BYTES} bytes; "
            f"make one with: openssl rand -base64 {KEY_BYTES}"
        ) from None
    return key


def _fingerprint(key: bytes) -> str:
    """A name for a key. Of 256 random bits a hash gives nothing away."""
    return hashlib.sha256(b"errata state key" + key).hexdigest()[:12]
