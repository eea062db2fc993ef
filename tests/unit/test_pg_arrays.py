"""Arrays as text: what PostgreSQL would read as something else is quoted."""

from agi_router.db.arrays import array_of_bytes, array_of_integers, array_of_texts


def test_integers() -> None:
    """Negative ones, one, none."""
    assert array_of_integers([-(2**63), 0, 7]) == "{-9223372036854775808,0,7}"
    assert array_of_integers({1}) == "{1}"
    assert array_of_integers(()) == "{}"


def test_texts() -> None:
    """Quotes and backslashes are escaped; NULL is a word like any other, nothing is a text too."""
    assert array_of_texts(["A-1", 'a"b', "a\\b", "NULL", "", "{,}"]) == (
        r'{"A-1","a\"b","a\\b","NULL","","{,}"}'
    )
    assert array_of_texts([None, "NULL"]) == '{NULL,"NULL"}'
    assert array_of_texts(()) == "{}"


def test_bytes() -> None:
    """In hexadecimal; none is null, and nothing is no bytes."""
    assert array_of_bytes([b"\x00\xff", None, b""]) == r'{"\\x00ff",NULL,"\\x"}'
    assert array_of_bytes(()) == "{}"
