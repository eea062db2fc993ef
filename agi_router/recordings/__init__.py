"""
Recordings: what two parties have said to each other, once both were told, sealed at once.

Asterisk writes both sides into a directory in memory (:mod:`agi_router.recordings.clear`). A
process of its own (:mod:`agi_router.recordings.keeper`) seals them into files on disk
(:mod:`agi_router.recordings.vault`) and puts them on record (:mod:`agi_router.recordings.store`).
They stay there, or are brought to a bucket (:mod:`agi_router.recordings.places`).
"""
