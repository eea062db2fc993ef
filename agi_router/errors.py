"""
What can go wrong, as one tree.

::

    AgiRouterError            internal              a fault of our own
     ├─ SettingsError         settings_invalid      a variable is missing, unknown or malformed
     ├─ NumberError           number_invalid        text is not a number we accept
     ├─ ExpiryInvalid         expiry_invalid        in the past, or out of bounds
     ├─ SameParty             same_party            A and B are one number
     ├─ ModeError             mode_invalid          the mode does not allow this
     ├─ RequestInvalid        request_invalid       what is asked for does not go together
     ├─ CursorInvalid         cursor_invalid        text is not where a page ended
     ├─ CsvError              csv_invalid           a file's rows are not acceptable
     ├─ KeyRingError          key_ring_invalid      the keys are missing or malformed
     │   ├─ KeyMismatch       key_mismatch          the keys are not those of this database
     │   ├─ KeysOutdated      keys_outdated         the keys were rotated since they were read
     │   ├─ KeyUsedUp         key_used_up           the key has sealed as many numbers as it may
     │   └─ KeyInUse          key_in_use            rows need the key, or it is the current one
     ├─ SealError             seal_invalid          a sealed number does not open
     ├─ StoreError            store_failed          the store failed
     │   ├─ RightsMissing     rights_missing        the database's role lacks a right
     │   ├─ RowInvalid        row_invalid           a row holds what is never written
     │   ├─ RowRefused        row_refused           the database refuses a row
     │   ├─ StoreUnavailable  store_unavailable     no answer, or none in time
     │   │   ├─ StoreBusy     store_busy            there would be none in time
     │   │   └─ StoreHeld     store_held            somebody else holds what is needed
     │   ├─ DayRefused        day_refused           no call may have that day
     │   ├─ SchemaMismatch    schema_mismatch       database older or newer than the code
     │   ├─ BindingNotFound   binding_not_found     no binding has this id
     │   ├─ MemberNotFound    member_not_found      the group has no such member
     │   ├─ BlockNotFound     block_not_found       the block is not ours
     │   ├─ TenantNotFound    tenant_not_found      no active tenant has this name
     │   ├─ BindingConflict   bind_conflict         (X, caller) already has a route
     │   ├─ ApiKeyNotFound    api_key_not_found     no API key has this id
     │   ├─ ApiKeyLimit       api_key_limit         its owner has no room for one more
     │   ├─ NumberResting     number_resting        a binding on the number ended not long ago
     │   ├─ BindingEnded      binding_ended         it is over and cannot change
     │   ├─ BindingChanged    binding_changed       it has another version by now
     │   ├─ LimitTooLow       limit_too_low         more calls or texts are used already
     │   ├─ BlockExists       block_exists          the block is already there
     │   ├─ BlockInUse        block_in_use          bindings live in the block
     │   ├─ BlockMoves        block_moves           the block is on its way to another cell
     │   ├─ TenantExists      tenant_exists         the tenant is already there
     │   ├─ OperatorOnly      operator_only         a tenant asks for what is the operator's
     │   ├─ PoolNotFound      pool_not_found        the tenant has no pool of this name
     │   ├─ PoolExists        pool_exists           the tenant has a pool of this name
     │   ├─ PoolChanged       pool_changed          it has another version by now
     │   ├─ GroupNotFound     group_not_found       the tenant has no party group of this name
     │   ├─ GroupExists       group_exists          the tenant has a party group of this name
     │   ├─ GroupChanged      group_changed         it has another version by now
     │   ├─ GroupInUse        group_in_use          bindings by it live, or as many as may
     │   ├─ NoNumberAvailable no_number_available   no 700 number is free
     │   ├─ Locked            locked                a lock is in force
     │   │   ├─ PartyLocked   party_locked          on a party
     │   │   ├─ NumberLocked  number_locked         on a 700 number or its block
     │   │   └─ TenantLocked  tenant_locked         on the tenant
     │   ├─ ComplaintNotFound complaint_not_found   no complaint has this id
     │   ├─ LockNotFound      lock_not_found        no lock has this id
     │   ├─ LockOver          lock_over             the lock has ended, or was lifted
     │   ├─ ExportNotFound    export_not_found      no such day or package
     │   ├─ HoldNotFound      hold_not_found        no hold of this id holds
     │   ├─ BlocklistEntryNotFound  blocklist_entry_not_found  no entry of a block list has this id
     │   ├─ BlocklistEntryOver      blocklist_entry_over       the entry has ended, or was removed
     │   ├─ AppealNotFound    appeal_not_found      no appeal has this id
     │   ├─ AppealOpen        appeal_open           there is an appeal against the lock already
     │   ├─ AppealOver        appeal_over           the appeal is over
     │   ├─ AppealNotReady    appeal_not_ready      another step of it comes first
     │   ├─ SameActor         same_actor            whoever has set a lock does not judge it
     │   ├─ EventNotFound     event_not_found       no event has this id
     │   ├─ CallNotFound      call_not_found        no call has this id
     │   ├─ MessageNotFound   message_not_found     no text has this id
     │   ├─ LinkNotFound      link_not_found        no link has this name
     │   ├─ MessageOver       message_over          it is being sent, or has ended
     │   ├─ MessageNotHeld    message_not_held      it is not held, or not any more
     │   ├─ WebhookNotFound   webhook_not_found     no webhook has this id
     │   ├─ WebhookChanged    webhook_changed       it has another version by now
     │   ├─ WebhookLimit      webhook_limit         its tenant has as many as may be
     │   ├─ WebhookInvalid    webhook_invalid       a webhook may not be like this
     │   ├─ QuotaExceeded     quota_exceeded        its tenant has as many bindings as it may
     │   ├─ TenantUnqualified tenant_unqualified    its tenant's qualification is not valid
     │   ├─ OrderMissing      order_missing         its tenant binds nothing without an order
     │   ├─ SceneUnknown      scene_unknown         the scene is none of its tenant's
     │   ├─ PartyUnverified   party_unverified      a party is not known by its real name
     │   ├─ ConsentMissing    consent_missing       a party does not agree to be bound
     │   ├─ ConsentNotFound   consent_not_found     the ledger has no line of this id
     │   ├─ ConsentOutdated   consent_outdated      what was agreed to before counts no longer
     │   ├─ PairTooOften      pair_too_often        the two were bound too often in an hour
     │   ├─ TooManyBinds      too_many_binds        more were bound in a time than may be
     │   ├─ OrderCrowded      order_crowded         too many pairs are bound by its order
     │   ├─ CheckNotFound     check_not_found       the tenant has no check of its own
     │   ├─ RecordingNotFound recording_not_found   there is no sound of this call
     │   ├─ RecordingDamaged  recording_damaged     its file is not as it was sealed
     │   ├─ RecordingKept     recording_kept        it may not be deleted yet
     │   ├─ FeedNotFound      feed_not_found        there is no feed, or run, of this name
     │   ├─ FeedExists        feed_exists           the feed is already there
     │   ├─ FeedBusy          feed_busy             another command reads the feed
     │   ├─ FeedUnreachable   feed_unreachable      the address of a feed gives no whole file
     │   └─ FeedInvalid       feed_invalid          a feed may not be like this
     ├─ ExportInvalid         export_invalid        a day's package cannot be made or trusted
     ├─ RecordingsUnusable    recordings_unusable   a directory of recordings is unfit
     ├─ AuditFileInvalid      audit_file_invalid    a key or head of the audit cannot be used
     ├─ RevealLimit           reveal_limit          somebody had numbers shown too often
     ├─ AuditBroken           audit_broken          the audit is not as it was signed
     ├─ JournalError          journal_failed        the end journal cannot be used
     ├─ LeakTestError         leaktest_failed       the leak test lacks a program or an address
     └─ AsteriskError         asterisk_unavailable  Asterisk is away, or said no
         ├─ NodeTaken         node_taken            another Asterisk has this one's name
         └─ ProtocolError     protocol_violated     an event this state cannot see

The word behind each is its ``code``. What a caller of ours typed wrongly is a ValueError too.

1. A refused call is a value (``Refusal``), not an exception: what is here means a broken part
   or a request that cannot be done.
2. No message carries a real number, a key or a password.
"""

# ruff: noqa: N818  (they are named after what happened)

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import ClassVar

__all__ = [
    "AgiRouterError",
    "ApiKeyLimit",
    "ApiKeyNotFound",
    "AppealNotFound",
    "AppealNotReady",
    "AppealOpen",
    "AppealOver",
    "AsteriskError",
    "AuditBroken",
    "AuditFileInvalid",
    "BindingChanged",
    "BindingConflict",
    "BindingEnded",
    "BindingNotFound",
    "BlockExists",
    "BlockInUse",
    "BlockMoves",
    "BlockNotFound",
    "BlocklistEntryNotFound",
    "BlocklistEntryOver",
    "CallNotFound",
    "CheckNotFound",
    "ComplaintNotFound",
    "ConsentMissing",
    "ConsentNotFound",
    "ConsentOutdated",
    "CsvError",
    "CursorInvalid",
    "DayRefused",
    "EventNotFound",
    "ExpiryInvalid",
    "ExportInvalid",
    "ExportNotFound",
    "FeedBusy",
    "FeedExists",
    "FeedInvalid",
    "FeedNotFound",
    "FeedUnreachable",
    "GroupChanged",
    "GroupExists",
    "GroupInUse",
    "GroupNotFound",
    "HoldNotFound",
    "JournalError",
    "KeyInUse",
    "KeyMismatch",
    "KeyRingError",
    "KeyUsedUp",
    "KeysOutdated",
    "LeakTestError",
    "LimitTooLow",
    "LinkNotFound",
    "LockNotFound",
    "LockOver",
    "Locked",
    "MemberNotFound",
    "MessageNotFound",
    "MessageNotHeld",
    "MessageOver",
    "ModeError",
    "NoNumberAvailable",
    "NodeTaken",
    "NumberError",
    "NumberFault",
    "NumberLocked",
    "NumberResting",
    "OperatorOnly",
    "OrderCrowded",
    "OrderMissing",
    "PairTooOften",
    "PartyLocked",
    "PartyUnverified",
    "PoolChanged",
    "PoolExists",
    "PoolNotFound",
    "ProtocolError",
    "QuotaExceeded",
    "RecordingDamaged",
    "RecordingKept",
    "RecordingNotFound",
    "RecordingsUnusable",
    "RequestInvalid",
    "RevealLimit",
    "RightsMissing",
    "RowInvalid",
    "RowRefused",
    "SameActor",
    "SameParty",
    "SceneUnknown",
    "SchemaMismatch",
    "SealError",
    "SettingsError",
    "StoreBusy",
    "StoreError",
    "StoreHeld",
    "StoreUnavailable",
    "TenantExists",
    "TenantLocked",
    "TenantNotFound",
    "TenantUnqualified",
    "TooManyBinds",
    "WebhookChanged",
    "WebhookInvalid",
    "WebhookLimit",
    "WebhookNotFound",
]


_BEFORE_CAPITALS = re.compile(r"(?<!^)(?=[A-Z])")


class AgiRouterError(Exception):
    """
    Something in agi_router went wrong.

    The first line of a class's docstring is its default message.

    Args:
        message: One line without a real number, key or password; says what to do if it can.
    """

    code: ClassVar[str] = "internal"
    """
    The word that names the kind of error to programs, and in tables of exit codes.
    """

    def __init_subclass__(cls) -> None:
        if "code" not in vars(cls):
            cls.code = _BEFORE_CAPITALS.sub("_", cls.__name__).lower()

    def __init__(self, message: str | None = None) -> None:
        if message is None:
            text = type(self).__doc__ or type(self).__name__
            message = text.strip().partition("\n")[0].rstrip(".")
        super().__init__(message)


class SettingsError(AgiRouterError):
    """
    A setting is missing, unknown or malformed.
    """

    code = "settings_invalid"


class NumberFault(Enum):
    """
    What is wrong with a text that should have been a number.
    """

    EMPTY = "empty"
    WITHHELD = "withheld"
    NOT_DIGITS = "not_digits"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    FOREIGN = "foreign"
    FIXED_LINE = "fixed_line"
    NOT_700 = "not_700"
    IS_700 = "is_700"
    NOT_MOBILE = "not_mobile"
    OTHER_RANGE = "other_range"


class NumberError(AgiRouterError, ValueError):
    """
    The text is not a number accepted here.

    Args:
        kind: What is wrong with it.
        message: One line on the shape that was expected and the shape that came, without a
            digit of the text.
    """

    code = "number_invalid"

    def __init__(self, kind: NumberFault, message: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind


class ExpiryInvalid(AgiRouterError, ValueError):
    """
    The expiry is in the past or out of bounds.
    """


class SameParty(AgiRouterError, ValueError):
    """
    A and B are the same number; a binding needs two.
    """


class ModeError(AgiRouterError, ValueError):
    """
    The binding's mode does not allow this.
    """

    code = "mode_invalid"


class RequestInvalid(AgiRouterError, ValueError):
    """
    What is asked for does not go together.

    Args:
        message: See :class:`AgiRouterError`; it names the words as they are in files and JSON.
        words: The words that do not.
    """

    def __init__(self, message: str | None = None, words: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.words = words


class CsvError(AgiRouterError, ValueError):
    """
    The CSV file is not acceptable.
    """

    code = "csv_invalid"


class CursorInvalid(AgiRouterError, ValueError):
    """
    The cursor is none that a list has given; begin without one.
    """


class KeyRingError(AgiRouterError):
    """
    The key ring is missing or malformed.
    """

    code = "key_ring_invalid"


class KeyMismatch(KeyRingError):
    """
    This key is not the one the database was sealed with.
    """


class KeysOutdated(KeyRingError):
    """
    The keys were rotated a moment ago; nothing was changed, do it again.
    """


class KeyUsedUp(KeyRingError):
    """
    The seal key has sealed 2**32 numbers, as many as it may: run 'agi-router key rotate --seal'.
    """


class KeyInUse(KeyRingError):
    """
    The key is still in use.
    """


class SealError(AgiRouterError):
    """
    A sealed number does not open: wrong key, wrong row or altered data.
    """

    code = "seal_invalid"


class StoreError(AgiRouterError):
    """
    The store failed.
    """

    code = "store_failed"


class RightsMissing(StoreError):
    """
    A role of the database lacks a right, or there is no such role; its owner can mend that.
    """


class RowInvalid(StoreError):
    """
    A row of the database holds what this program never writes; look who else writes there.
    """


class RowRefused(StoreError):
    """
    The database refuses what was to become of a row; others may be fine.
    """


class StoreUnavailable(StoreError):
    """
    The database does not answer.
    """

    outrun = False
    """Whether another transaction was in the way: nothing was done, and it may go well now."""


class StoreBusy(StoreUnavailable):
    """
    More waits for the database than it can answer in time.
    """


class StoreHeld(StoreUnavailable):
    """
    Somebody else holds what is needed in the database; try again.
    """


class DayRefused(StoreError):
    """
    A call's id is of another day than the database's clock: set both machines' clocks right.
    """


class SchemaMismatch(StoreError):
    """
    The database schema is older or newer than this program.
    """


class BindingNotFound(StoreError):
    """
    There is no binding with this id.
    """


class MemberNotFound(StoreError):
    """
    The group has no such member.
    """


class BlockNotFound(StoreError):
    """
    The 700 number lies outside our blocks; add its block first.
    """


class BindingConflict(StoreError):
    """
    A party already has a route on this 700 number; choose another number or unbind first.

    Args:
        message: See :class:`AgiRouterError`.
        constraint: Name of the rule in the schema that was violated, where one was.
        bindings: Names of the bindings that are in the way, where that may be told.
    """

    code = "bind_conflict"

    def __init__(
        self,
        message: str | None = None,
        *,
        constraint: str | None = None,
        bindings: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.constraint = constraint
        self.bindings = tuple(dict.fromkeys(bindings))


class NumberResting(StoreError):
    """
    A binding on this 700 number ended not long ago; wait, or choose another number.

    Attributes:
        until: When it no longer rests for those who ask; :obj:`None`: that is not told.
    """

    until: datetime | None = None


class BindingEnded(StoreError):
    """
    The binding has ended and cannot be changed; make a new one.
    """


class BindingChanged(StoreError):
    """
    The binding was changed since it was read; read it again.
    """


class LimitTooLow(StoreError):
    """
    More calls or texts are used, or running, than the new limit allows; raise it, or unbind.
    """


class BlockExists(StoreError):
    """
    The block is already there.
    """


class BlockInUse(StoreError):
    """
    Bindings live in the block; unbind them or wait until they end.
    """


class BlockMoves(StoreError):
    """
    The block is on its way to another cell; say it again when it is there.
    """


class CallNotFound(StoreError):
    """
    No call has this id, or none any more; "agi-router calls" lists them.
    """


class MessageNotFound(StoreError):
    """
    No text has this id; "agi-router messages" lists them.
    """


class LinkNotFound(StoreError):
    """
    No link has this name; "agi-router link list" lists those that were ever served.
    """


class MessageOver(StoreError):
    """
    The text is being sent, or has ended: it cannot be taken back.
    """


class MessageNotHeld(StoreError):
    """
    The text is not held, or the time to release it is over.
    """


class NoNumberAvailable(StoreError):
    """
    No 700 number is free for these parties; add a block or unbind first.

    Args:
        message: See :class:`AgiRouterError`.
        rules: How many numbers each rule has taken away, by its name, where that may be told.
    """

    def __init__(
        self, message: str | None = None, *, rules: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        super().__init__(message)
        self.rules = dict(rules)


class Locked(StoreError):
    """
    A lock is in force on what is asked for; see 'agi-router lock list'.
    """


class PartyLocked(Locked):
    """
    A party is locked: nothing is bound for it until the lock is lifted or ends.
    """


class NumberLocked(Locked):
    """
    The 700 number, or its block, is locked; choose another, or wait until it is not.
    """


class TenantLocked(Locked):
    """
    The tenant is locked: nothing is bound for it until the lock is lifted or ends.
    """


class ComplaintNotFound(StoreError):
    """
    There is no complaint of this id.
    """


class LockNotFound(StoreError):
    """
    There is no lock of this id.
    """


class LockOver(StoreError):
    """
    The lock has ended, or was lifted before.
    """


class ExportNotFound(StoreError):
    """
    The day is not over yet, or there is no package of it with this manifest.
    """

    code = "export_not_found"


class HoldNotFound(StoreError):
    """
    There is no legal hold of this id, or it was released before.
    """


class AppealNotFound(StoreError):
    """
    There is no appeal of this id.
    """


class AppealOpen(StoreError):
    """
    There is an appeal against the lock already.
    """


class AppealOver(StoreError):
    """
    The appeal is over.
    """


class AppealNotReady(StoreError):
    """
    Another step of the appeal comes first.
    """


class SameActor(StoreError):
    """
    Whoever has set a lock does not judge it, and nobody withdraws what another has filed.
    """


class BlocklistEntryNotFound(StoreError):
    """
    There is no entry of a block list of this id.
    """


class BlocklistEntryOver(StoreError):
    """
    The entry has ended, or was removed before.
    """


class TenantNotFound(StoreError):
    """
    There is no tenant of this name.
    """


class TenantExists(StoreError):
    """
    The tenant is already there.
    """


class ApiKeyNotFound(StoreError):
    """
    There is no API key of this id.
    """


class ApiKeyLimit(StoreError):
    """
    This owner has as many active API keys as may be: revoke one first.
    """


class OperatorOnly(StoreError):
    """
    Only the operator may do this.
    """


class EventNotFound(StoreError):
    """
    There is no event of this id.
    """


class PoolNotFound(StoreError):
    """
    The tenant has no pool of this name.
    """


class PoolExists(StoreError):
    """
    The tenant has a pool of this name already.
    """


class PoolChanged(StoreError):
    """
    The pool was changed since it was read; read it again.
    """


class GroupNotFound(StoreError):
    """
    The tenant has no party group of this name.
    """


class GroupExists(StoreError):
    """
    The tenant has a party group of this name already.
    """


class GroupChanged(StoreError):
    """
    The party group was changed since it was read; read it again.
    """


class GroupInUse(StoreError):
    """
    Bindings by this party group live; end them, or wait until they end.
    """


class WebhookNotFound(StoreError):
    """
    There is no webhook of this id.
    """


class WebhookChanged(StoreError):
    """
    The webhook was changed since it was read; read it again.
    """


class WebhookLimit(StoreError):
    """
    The tenant has as many webhooks as one may have: remove one first.
    """


class WebhookInvalid(StoreError):
    """
    A webhook may not be like this.
    """


class QuotaExceeded(StoreError):
    """
    The tenant has as many bindings as it may have, or has made as many today.

    Attributes:
        wait: Seconds until it may make more; :obj:`None`: as soon as some have ended.
    """

    wait: int | None = None


class TenantUnqualified(StoreError):
    """
    The qualification of the tenant is not valid now: nothing is bound for it.
    """


class OrderMissing(StoreError):
    """
    For this tenant nothing is bound without an order: give the id of the order.
    """


class SceneUnknown(StoreError):
    """
    The scene is none of the tenant's.
    """


class ConsentMissing(StoreError):
    """
    A party has not agreed, or no longer does: write it down first, or state it if the tenant may.
    """


class PartyUnverified(StoreError):
    """
    A party is not known by its real name: have it checked, and write the result down first.
    """


class ConsentNotFound(StoreError):
    """
    The consent ledger has no line of this id.
    """


class ConsentOutdated(StoreError):
    """
    What was agreed to before counts no longer: the person withdrew, or the number has a new owner.
    """


class PairTooOften(StoreError):
    """
    The same two were bound as often within an hour as they may be.

    Attributes:
        wait: Seconds until they may be bound again.
    """

    wait: int | None = None


class TooManyBinds(StoreError):
    """
    As many bindings were made in a time, of a person, on a number or of a tenant, as may be.

    Attributes:
        wait: Seconds until the next one may be made.
    """

    wait: int | None = None


class OrderCrowded(StoreError):
    """
    As many different parties are bound by this order as may be.
    """


class CheckNotFound(StoreError):
    """
    The tenant has no check of its own.
    """


class FeedNotFound(StoreError):
    """
    There is no feed, or no run of one, of this name.
    """


class FeedExists(StoreError):
    """
    The feed is already there.
    """


class FeedBusy(StoreError):
    """
    Another command reads this feed; wait until it is done.
    """


class FeedUnreachable(StoreError):
    """
    The address of a feed may not be asked, does not answer, or gives no whole file.
    """


class FeedInvalid(StoreError):
    """
    A feed may not be like this, or its file cannot be read.
    """


class ExportInvalid(AgiRouterError):
    """
    A package of a day cannot be made, or is not as it was packed; or a key of it is unfit.
    """

    code = "export_invalid"


class RecordingsUnusable(AgiRouterError):
    """
    A directory of recordings is missing, is not what it has to be, or is full.
    """

    code = "recordings_unusable"


class RecordingNotFound(StoreError):
    """
    There is no sound of this call, or none any more.
    """


class RecordingDamaged(StoreError):
    """
    The file of a recording is not there, or not as it was sealed.
    """


class RecordingKept(StoreError):
    """
    A recording may not be deleted yet: a hold is on it, or the time that the law says is not over.
    """


class AuditFileInvalid(AgiRouterError):
    """
    The file of the audit's heads, or of a key that signs or verifies them, is missing or unfit.
    """

    code = "audit_file_invalid"


class RevealLimit(AgiRouterError):
    """
    Somebody had real numbers shown as often as he may within an hour.

    Attributes:
        wait: Seconds until he may again, if nothing more is asked for meanwhile.
    """

    code = "reveal_limit"
    wait: int | None = None


class AuditBroken(AgiRouterError):
    """
    The audit is not as it was when its last head was signed.
    """

    code = "audit_broken"


class JournalError(AgiRouterError):
    """
    The end journal cannot be used.
    """

    code = "journal_failed"


class LeakTestError(AgiRouterError):
    """
    The leak test lacks a program or an address.
    """

    code = "leaktest_failed"


class AsteriskError(AgiRouterError):
    """
    Asterisk is away or refused a request.
    """

    code = "asterisk_unavailable"


class NodeTaken(AsteriskError):
    """
    Another Asterisk has the name of this one, so that nobody can tell their calls apart.

    Args:
        message: Which one, and what to do.
        certain: Whether it is sure to be another one, and not this one after its clock was set.
    """

    def __init__(self, message: str | None = None, *, certain: bool = True) -> None:
        super().__init__(message)
        self.certain = certain


class ProtocolError(AsteriskError):
    """
    Something was reported that cannot follow on what was reported before.
    """

    code = "protocol_violated"
