"""The PBX: what of an operator's Asterisk would carry a number to the wrong side."""
