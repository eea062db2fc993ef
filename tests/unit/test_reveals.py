"""Real numbers in full leave the program by few doors; whoever opens another audits it."""

import ast
from pathlib import Path

import agi_router

ROOT = Path(agi_router.__file__).parent

# Where a number's digits are read, and why nobody is shown them.
READS = {
    "numbers": "numbers themselves",
    "keys/ring": "to tag and to seal",
    "calls/check": "to send them to the operator's verification service, where a setting says so",
    "calls/cutting": "to compare them with who is dialled in a call",
    "calls/dialplan": "to have them dialled",
    "calls/identity": "to compare one form of a caller's number with another",
    "calls/router": "to tell callers apart, by a hash",
    "bulk/exporter": "to show them: after a row of the audit",
    "events/parties": "to send them, where a webhook was made for it: after a row of the audit",
    "bindings/draw": "to tag each once",
    "bindings/parties": "to order by them",
    "bindings/views": "to show them: after a row of the audit",
    "bindings/rows": "to order by them",
    "bindings/sealed_routes": "to tag each once",
    "exports/store": "to hand them over, sealed: after a row of the audit",
    "traces/views": "to show them for a case: after a row of the audit",
    "feeds/views": "to tell carriers of misuse: after a row of the audit",
    "feeds/recycler": "to tag many at once",
    "feeds/digests": "to compare them with the digests of a feed",
    "messages/bodies": "to find them in what a text says",
    "messages/limits": "to tell senders of texts apart, by a hash",
    "doors/http/messages": "to tell a carrier who receives a text: after a row of the audit",
    "doors/sip_messages": "to send texts to them, and nowhere else",
    "doors/smpp": "to send texts to them, and nowhere else",
    "cli/leaktest": "invented ones that the operator gave",
    "cli/leaktest_texts": "ditto",
    "leaktest/link_texts": "ditto",
    "leaktest/texts": "ditto",
}


def test_who_reads_digits() -> None:
    """No command and no adapter does that is not listed here."""
    found = {
        str(file.relative_to(ROOT).with_suffix(""))
        for file in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "digits"
    }
    assert found == set(READS)
