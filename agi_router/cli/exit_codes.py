"""
The exit codes of the command line, by the code of an error.

Codes are those of ``sysexits.h``:

==== ================ =========================================================
code name             meaning
==== ================ =========================================================
0                     done
2                     wrong usage of the command line (click's own)
65   EX_DATAERR       an argument is not acceptable; correct it
66   EX_NOINPUT       what is named does not exist
69   EX_UNAVAILABLE   PostgreSQL or Asterisk does not answer, or a program is missing
70   EX_SOFTWARE      a fault of ours, or damaged data; please report it
73   EX_CANTCREAT     in conflict with what is there; nothing was changed
76   EX_PROTOCOL      program and database are of different versions; migrate
77   EX_NOPERM        a tenant asks for what is the operator's, or the database's role lacks rights
78   EX_CONFIG        settings or keys are wrong; correct them
==== ================ =========================================================
"""

from agi_router.errors import AgiRouterError

__all__ = ["EXIT_CODES", "exit_code"]

EXIT_CODES = {
    "internal": 70,
    "settings_invalid": 78,
    "number_invalid": 65,
    "expiry_invalid": 65,
    "same_party": 65,
    "mode_invalid": 65,
    "request_invalid": 65,
    "csv_invalid": 65,
    "cursor_invalid": 65,
    "key_ring_invalid": 78,
    "key_mismatch": 78,
    "keys_outdated": 78,
    "key_used_up": 78,
    "key_in_use": 73,
    "seal_invalid": 70,
    "store_failed": 70,
    "rights_missing": 77,
    "row_invalid": 70,
    "row_refused": 70,
    "store_unavailable": 69,
    "store_busy": 69,
    "store_held": 69,
    "day_refused": 70,
    "schema_mismatch": 76,
    "binding_not_found": 66,
    "member_not_found": 66,
    "block_not_found": 66,
    "tenant_not_found": 66,
    "api_key_not_found": 66,
    "bind_conflict": 73,
    "number_resting": 73,
    "binding_ended": 73,
    "binding_changed": 73,
    "limit_too_low": 73,
    "block_exists": 73,
    "block_in_use": 73,
    "block_moves": 73,
    "tenant_exists": 73,
    "api_key_limit": 73,
    "operator_only": 77,
    "no_number_available": 73,
    "locked": 73,
    "party_locked": 73,
    "number_locked": 73,
    "tenant_locked": 73,
    "export_not_found": 66,
    "hold_not_found": 66,
    "lock_not_found": 66,
    "complaint_not_found": 66,
    "lock_over": 73,
    "appeal_not_found": 66,
    "appeal_open": 73,
    "appeal_over": 73,
    "appeal_not_ready": 73,
    "same_actor": 77,
    "tenant_unqualified": 73,
    "order_missing": 65,
    "scene_unknown": 65,
    "consent_missing": 73,
    "party_unverified": 73,
    "recordings_unusable": 78,
    "recording_not_found": 66,
    "recording_damaged": 70,
    "recording_kept": 73,
    "consent_not_found": 66,
    "consent_outdated": 73,
    "pair_too_often": 73,
    "too_many_binds": 73,
    "order_crowded": 73,
    "blocklist_entry_not_found": 66,
    "blocklist_entry_over": 73,
    "event_not_found": 66,
    "call_not_found": 66,
    "message_not_found": 66,
    "link_not_found": 66,
    "message_over": 73,
    "message_not_held": 73,
    "group_not_found": 66,
    "group_exists": 73,
    "group_changed": 73,
    "group_in_use": 73,
    "pool_not_found": 66,
    "pool_exists": 73,
    "pool_changed": 73,
    "webhook_not_found": 66,
    "webhook_changed": 73,
    "webhook_limit": 73,
    "webhook_invalid": 65,
    "check_not_found": 66,
    "quota_exceeded": 73,
    "feed_not_found": 66,
    "feed_exists": 73,
    "feed_busy": 73,
    "feed_invalid": 65,
    "feed_unreachable": 69,
    "export_invalid": 78,
    "audit_file_invalid": 78,
    "audit_broken": 70,
    "reveal_limit": 73,
    "journal_failed": 70,
    "leaktest_failed": 69,
    "asterisk_unavailable": 69,
    "node_taken": 69,
    "protocol_violated": 70,
}
"""Every code of an error, and how the command line ends with it."""


def exit_code(error: AgiRouterError | type[AgiRouterError]) -> int:
    """
    The exit code of the command line for an error.
    """
    return EXIT_CODES[error.code]
