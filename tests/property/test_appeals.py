"""Whatever is done with an appeal in whatever order: what holds at every moment."""

from hypothesis import given
from hypothesis import strategies as st

from agi_router.errors import AppealNotReady, AppealOver, SameActor
from agi_router.persons.appeal_states import AppealState
from agi_router.persons.appeals import OPEN, AppealStep, take

SETTER = "setter"
steps = st.lists(
    st.tuples(st.sampled_from(AppealStep), st.sampled_from([SETTER, "x", "y", None])), max_size=12
)


@given(done=steps)
def test_any_order_of_steps(done: list[tuple[AppealStep, str | None]]) -> None:
    """Over is over; nobody is let go or held without a review, none of it by who has locked."""
    state, judges = AppealState.FILED, set[str | None]()
    seen = [state]
    for step, actor in done:
        before = state
        try:
            state = take(state, step, actor=actor, set_by=SETTER)
        except (AppealNotReady, AppealOver, SameActor):
            assert state is before
            continue
        assert before in OPEN
        if state in {AppealState.IN_REVIEW, AppealState.LIFTED, AppealState.UPHELD}:
            judges.add(actor)
        seen.append(state)
    assert SETTER not in judges
    assert len(seen) == len(set(seen))
    if state in {AppealState.LIFTED, AppealState.UPHELD}:
        assert seen[:3] == [AppealState.FILED, AppealState.COMPLETE, AppealState.IN_REVIEW]
    if state is AppealState.LAPSED:
        assert seen == [AppealState.FILED, AppealState.LAPSED]
