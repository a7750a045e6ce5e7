"""Personal data with a form of its own: addresses and numbers by which a person can be found.

In: texts. Out: whether one stands there. Names have no form and are not found.
"""

import re

import phonenumbers

_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}")
_TELEPHONE = re.compile(r"\+\d(?:[\s().-]?\d){6,14}")
_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
_ACCOUNT = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")


def stand_in(text: str) -> bool:
    """Whether a text holds an e-mail address, or a valid telephone, card or account number.

    Telephone numbers are those with a country's code: without it, any number might be one.
    """
    return (
        ("@" in text and _MAIL.search(text) is not None)
        or any(_is_telephone(found[0]) for found in _TELEPHONE.finditer(text))
        or any(_is_card(found[0]) for found in _CARD.finditer(text))
        or any(_is_account(found[0]) for found in _ACCOUNT.finditer(text))
    )


def _is_telephone(text: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text))
    except phonenumbers.NumberParseException:
        return False


def _is_card(text: str) -> bool:
    """Whether the check digit is right (ISO/IEC 7812-1, annex B: the Luhn formula)."""
    digits = [int(sign) for sign in reversed(text) if sign.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return len(set(digits)) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_account(text: str) -> bool:
    """Whether the check digits are right (ISO 13616-1: the number modulo 97 is 1)."""
    plain = text.replace(" ", "")
    number = "".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])
    return 15 <= len(plain) <= 34 and int(number) % 97 == 1
