"""
What a managed block and a number of it may be.
"""

from datetime import datetime
from enum import StrEnum
from typing import TypedDict

from agi_router.texts import LONGEST_NAME, check_name

__all__ = ["BlockState", "CertificateChange", "NumberState", "check_carrier", "check_certificate"]


class BlockState(StrEnum):
    """
    Whether a block takes new bindings and calls, only calls, or neither.
    """

    ACTIVE = "active"
    DRAINING = "draining"
    RETURNED = "returned"


class NumberState(StrEnum):
    """
    Whether somebody is bound on a number, or was not long ago; or nothing may be bound on it.
    """

    FREE = "free"
    BOUND = "bound"
    LOCKED = "locked"
    RESTING = "resting"


class CertificateChange(TypedDict, total=False):
    """
    What the certificate of a block says from now on; what is left out stays as it is.
    """

    certificate: str | None
    valid_from: datetime | None
    valid_until: datetime | None


def check_carrier(text: str) -> str:
    """
    Return *text*, stripped, if it may be a carrier's name.

    Raises:
        ValueError: If it may not.
    """
    return check_name(text, what="a carrier's name", longest=LONGEST_NAME)


def check_certificate(text: str) -> str:
    """
    Return *text*, stripped, if it may be the number of a certificate.

    Raises:
        ValueError: If it may not.
    """
    return check_name(text, what="a certificate's number", longest=LONGEST_NAME)
