"""
The leak test: whether a PBX lets a number or a name of one side get to the other.

Phones plant both wherever SIP has a place for them, and everything that the PBX sends to the other
side is searched for them.
"""
