"""
A small typed library for SIP requests outside of dialogs, as MESSAGE (RFC 3428) is.

It reads and writes messages, keeps the two kinds of transactions that are no INVITE (RFC 3261,
17.1.2 and 17.2.2) and knows nothing of the rest of ``agi_router``. No error and no ``repr`` of it
shows what stood in a message, so all of them may be logged.
"""

from .errors import BadMessage, SipError
from .transactions import (
    T1,
    Answered,
    ClientTransaction,
    Key,
    ServerTransactions,
    Taken,
    branch_of,
    key_of,
)
from .wire import (
    LARGEST_BODY,
    LARGEST_HEAD,
    Framer,
    Message,
    Request,
    Response,
    Via,
    answer,
    build,
    parse,
)

__all__ = [
    "LARGEST_BODY",
    "LARGEST_HEAD",
    "T1",
    "Answered",
    "BadMessage",
    "ClientTransaction",
    "Framer",
    "Key",
    "Message",
    "Request",
    "Response",
    "ServerTransactions",
    "SipError",
    "Taken",
    "Via",
    "answer",
    "branch_of",
    "build",
    "key_of",
    "parse",
]
