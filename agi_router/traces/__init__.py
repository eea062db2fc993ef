"""
Traces: who was behind a 700 number at some time, and what became of it.
"""
