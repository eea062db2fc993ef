"""
What can go wrong between us and a message centre.

::

    SmppError
     ├─ BadPdu       what came is no PDU, or cannot be read
     ├─ BadText      octets that are no text in their coding, or a text that none of ours has
     ├─ LinkDown     there is no session: it was refused, lost or ended
     │   └─ BindRefused  the message centre refused the bind; carries the status
     ├─ SubmitRefused    a message was refused; carries the status
     └─ NoAnswer     a message was sent, and nobody knows whether it was taken

No message holds what stood in a PDU, so every text here may be logged.
"""

__all__ = [
    "BadPdu",
    "BadText",
    "BindRefused",
    "LinkDown",
    "NoAnswer",
    "SmppError",
    "SubmitRefused",
]


class SmppError(Exception):
    """
    Root of all errors of this package.
    """


class BadPdu(SmppError):  # noqa: N818 a state, named as such
    """
    What came is no PDU, or cannot be read. The message names the field, never its value.
    """


class BadText(SmppError):  # noqa: N818 a state, named as such
    """
    Octets are no text in their coding, or a text has no coding here.
    """


class LinkDown(SmppError):  # noqa: N818 a state, named as such
    """
    There is no session.
    """


class BindRefused(LinkDown):
    """
    The message centre refused the bind.

    Attributes:
        status: ``command_status``, e.g. 14 (wrong password).
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status

    def __str__(self) -> str:
        return f"the bind was refused with status {self.status:#010x}"


class SubmitRefused(SmppError):  # noqa: N818 a state, named as such
    """
    The message centre refused a message.

    Attributes:
        status: ``command_status``, e.g. 0x58 (throttled).
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status

    def __str__(self) -> str:
        return f"the message was refused with status {self.status:#010x}"


class NoAnswer(SmppError):  # noqa: N818 a state, named as such
    """
    A message was sent and got no answer: nobody knows whether it was taken.
    """
