"""
What a tenant may be called.
"""

from agi_router.texts import LONGEST_NAME, check_name

__all__ = ["check_tenant"]


def check_tenant(text: str) -> str:
    """
    Return *text*, stripped, if it may be a tenant's name: 1 to 128 characters that are seen.

    Raises:
        ValueError: If it may not.
    """
    return check_name(text, what="a tenant's name", longest=LONGEST_NAME)
