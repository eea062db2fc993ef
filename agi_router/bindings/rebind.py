"""
How a binding is carried over to another number, as an appeal against a lock was upheld.

What is locked stays locked and serves no order any more; the order goes on by a new binding, which
has its terms, its end and what is left of its limits. The old one ends in the same transaction,
and the appeal keeps both.

Source:
    Domain notes, 0.7: "If it cannot be lifted: rebind to a new number, and keep the history".
"""

from dataclasses import fields, replace

from agi_router.bindings.bind import BindingMaking
from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.modes import Gxb, Parties, replace_party
from agi_router.bindings.names import name_values
from agi_router.bindings.parties import open_callees, parties_of
from agi_router.bindings.policy import Affinity, NumberPolicy
from agi_router.bindings.replace import PartyReplacing
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState, Side
from agi_router.errors import AppealNotReady, BindingChanged, RequestInvalid, SealError
from agi_router.numbers import PhoneNumber
from agi_router.persons.appeals import Appeal
from agi_router.persons.effects import Subject
from agi_router.persons.locks import LockedThing

__all__ = ["AppealRebinding"]

# As often as it is tried where somebody changes the binding meanwhile.
_TRIES = 5
# None of those that one of them was on: who dials the old number is to reach nobody new.
_ANOTHER = NumberPolicy(same_x=Affinity.AVOID)


class AppealRebinding(BindingMaking, PartyReplacing):
    """
    Carrying bindings over that a lock stops.
    """

    def rebind(
        self, appeal: Appeal, name: BindingId, *, instead: PhoneNumber | None = None, by: str
    ) -> Binding:
        """
        Bind the parties of a binding that a lock stops on another 700 number, and end it.

        Of a 700 number or a block that is locked, the same parties are bound. A person who is
        locked is not: somebody else has its place, or of a group all others are bound. Calls that
        are up go on.

        Args:
            appeal: That which was upheld, as it was found.
            name: The binding.
            instead: Who takes the place of a person who is locked.
            by: Who does it.

        Returns:
            The new binding.

        Raises:
            AppealNotReady: The appeal is not upheld, or its lock is over.
            SealError: Its lock cannot be read.
            RequestInvalid: The lock does not stop this binding, or it is held; or *instead* is
                missing, or is of no use.
            BindingNotFound: There is no such binding.
            BindingEnded: It is over.
            BindingChanged: It was changed again and again meanwhile.
            AgiRouterError: It cannot be bound; see :meth:`bind`. Then it has not ended either.
        """
        for left in reversed(range(_TRIES)):
            try:
                return self._under_current_keys(lambda: self._rebind(appeal, name, instead, by))
            except BindingChanged:
                if not left:
                    raise
        raise AssertionError("the last try returns or raises")

    def _rebind(
        self, appeal: Appeal, name: BindingId, instead: PhoneNumber | None, by: str
    ) -> Binding:
        found = self._replaceable(name, None)
        thing = appeal.thing
        if thing.damage is not None:
            raise SealError(f"the lock of appeal {appeal.id} cannot be read: {thing.damage}")
        if not _is_stopped(found, thing):
            raise RequestInvalid(f"the lock of appeal {appeal.id} does not stop binding {name}")
        if found.state is BindingState.HELD:
            # Another binding by the same parties would ring whom it keeps from being rung.
            raise RequestInvalid(
                f"binding {name} is held until it is known whose number a party has: release it"
                " first"
            )
        if thing.person is None and instead is not None:
            raise RequestInvalid("nobody is locked, so that nobody takes another's place")
        with self._queries.transaction():
            self.rules.hold(self.inventory.tenants.rules(found.tenant))
            if found.group is not None:
                # The group before the binding, as all who take both.
                self._share_group(found.tenant, found.group, another=False)
            if self._queries.row("hold_upheld", {"id": appeal.id}) is None:
                raise AppealNotReady(
                    "another number is offered once an appeal was upheld, while its lock holds"
                )
            with self._locked(name, (), version=found.version):
                parties = parties_of(found, self._called_back(found))
                if thing.person is not None:
                    parties = _without(parties, thing.person, instead)
                self._queries.row("end_carried", {**name_values(name), "version": found.version})
                made = self.bind(parties, _terms_left(found), choice=_ANOTHER)
            values = {
                "id": appeal.id,
                "block": name.block.value,
                "binding_id": name.id,
                "new_block": made.id.block.value,
                "new_binding_id": made.id.id,
                "by": by,
            }
            self._queries.row("note_rebind", values)
        return made

    def _called_back(self, found: Binding) -> tuple[PhoneNumber, ...]:
        """
        Whom the side that calls back reaches by default; the binding is held.
        """
        rings = Side.A if found.mode.open else Side.B
        routes = self._current_routes(found.id)
        return next(
            (open_callees(each, self.keys) for each in routes if each["side"] == rings), ()
        )


def _is_stopped(binding: Binding, thing: LockedThing) -> bool:
    """
    Whether a lock on a thing keeps calls of a binding from going through; of a tenant, never.
    """
    match thing.subject:
        case Subject.NUMBER:
            return any(party.dials == thing.number for party in binding.parties)
        case Subject.BLOCK:
            return binding.id.block == thing.block
        case Subject.PERSON:
            known = any(party.number == thing.person for party in binding.parties)
            return known and thing.tenant in {None, binding.tenant}
    return False


def _without(parties: Parties, person: PhoneNumber, instead: PhoneNumber | None) -> Parties:
    """
    The parties without one of them.

    Raises:
        RequestInvalid: Somebody has to take its place.
        ModeError: The mode has nobody in particular on that side.
        SameParty: Who takes its place is on the other side.
    """
    if isinstance(parties, Gxb) and person in parties.side_a:
        if parties.group is not None:
            raise RequestInvalid(
                f"take the person out of party group {parties.group}: all others go on by it"
            )
        come = () if instead is None or instead in parties.members else (instead,)
        members = (*(each for each in parties.members if each != person), *come)
        if not members:
            raise RequestInvalid("nobody else is of the group: say who takes its place")
        default = instead if parties.default == person else parties.default
        return replace(parties, members=members, default=default)
    if instead is None:
        raise RequestInvalid("say who takes the place of the person who is locked")
    return replace_party(parties, Side.A if person in parties.side_a else Side.B, instead)


def _terms_left(found: Binding) -> Terms:
    """
    What is agreed for a binding, and so much of its limits as is left.
    """
    terms = Terms(**{each.name: getattr(found, each.name) for each in fields(Terms)})
    return replace(
        terms,
        max_calls=_left(found.max_calls, found.calls_used),
        max_messages=_left(found.max_messages, found.messages_used),
    )


def _left(most: int | None, used: int) -> int | None:
    # A binding that is alive has one left: if all that are left are being used, as calls, one.
    return None if most is None else max(1, most - used)
