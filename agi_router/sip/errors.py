"""
What can go wrong with SIP. No error says what stood in a message.
"""

__all__ = ["BadMessage", "SipError"]


class SipError(Exception):
    """
    Root of all errors of this package.
    """


class BadMessage(SipError):  # noqa: N818 a state, named as such
    """
    What came is no message of SIP, or one that cannot be read.
    """
