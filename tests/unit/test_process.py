"""What a process of ours does with itself."""

import gc

from agi_router.service.process import keep_for_good


def test_what_is_kept_for_good_is_looked_through_no_more() -> None:
    mine: list[list[int]] = [[]]
    keep_for_good()
    try:
        assert gc.get_freeze_count() > 0
        assert not any(each is mine for each in gc.get_objects())
    finally:
        gc.unfreeze()
    assert any(each is mine for each in gc.get_objects())
