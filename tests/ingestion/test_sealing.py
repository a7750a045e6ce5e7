"""Sealing: what opens, what does not, and what the messages say."""

import base64

import pytest

from errata.errors import KeyMissing, Malformed, Tampered
from ingestion import sealing
from ingestion.sealing import Sealed

ONE, TWO = sealing.new_key(), sealing.new_key()


def test_what_was_sealed_opens_for_the_same_thing_only() -> None:
    ring = sealing.ring(ONE)
    sealed = ring.seal(b"secret", b"row 1")
    assert b"secret" not in sealed.box
    assert ring.open(sealed, b"row 1") == b"secret"
    with pytest.raises(Tampered):
        ring.open(sealed, b"row 2")


@pytest.mark.parametrize("place", [0, 11, 12, -1])
def test_a_changed_byte_is_noticed(place: int) -> None:
    ring = sealing.ring(ONE)
    sealed = ring.seal(b"secret", b"")
    box = bytearray(sealed.box)
    box[place] ^= 1
    for changed in (bytes(box), sealed.box[:-1], sealed.box[:5], b""):
        with pytest.raises(Tampered):
            ring.open(Sealed(sealed.key, changed), b"")


def test_the_same_bytes_are_never_sealed_alike() -> None:
    ring = sealing.ring(ONE)
    assert len({ring.seal(b"secret", b"").box[: sealing.NONCE_BYTES] for _ in range(1000)}) == 1000


def test_after_a_rotation_the_new_key_seals_and_the_old_one_still_opens() -> None:
    old = sealing.ring(ONE).seal(b"secret", b"")
    both = sealing.ring(f"{TWO},{ONE}")
    assert both.open(old, b"") == b"secret"
    new = both.seal(b"secret", b"")
    assert new.key == both.fingerprints[0] != old.key
    assert sealing.ring(TWO).open(new, b"") == b"secret"


def test_a_key_that_is_not_there_is_named_by_its_fingerprint() -> None:
    sealed = sealing.ring(ONE).seal(b"secret", b"")
    with pytest.raises(KeyMissing, match=f"{sealed.key}.*ERRATA_STATE_KEYS") as caught:
        sealing.ring(TWO).open(sealed, b"")
    assert ONE not in str(caught.value)
    with pytest.raises(KeyMissing, match="set ERRATA_STATE_KEYS"):
        sealing.ring(None).seal(b"secret", b"")


@pytest.mark.parametrize("wrong", ["hunter2", base64.b64encode(b"x" * 31).decode(), "ä" * 44])
def test_a_key_that_is_none_is_counted_and_not_shown(wrong: str) -> None:
    with pytest.raises(Malformed, match="key 2 of ERRATA_STATE_KEYS is not the base64") as caught:
        sealing.ring(f"{ONE}, {wrong}")
    assert wrong not in str(caught.value)
    assert caught.value.__suppress_context__


def test_keys_are_written_with_commas_or_lines_and_a_ring_shows_none() -> None:
    ring = sealing.ring(f" {ONE} ,", f"{TWO}\n")
    assert len(ring.fingerprints) == 2
    assert ONE not in repr(ring)
    assert ring.fingerprints[0] in repr(ring)
