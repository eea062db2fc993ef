"""What can go wrong with the test PBX, in words that say what to do."""


class PbxError(Exception):
    """One line for the person at the keyboard."""
