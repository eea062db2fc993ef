"""
What the bindings of a tenant are to keep to, beside what all are.

Source:
    Domain notes, 0.5 and 3.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from agi_router.errors import OrderMissing, SceneUnknown, TenantUnqualified
from agi_router.tenants.bind_rates import BindRates, read_bind_rates

__all__ = [
    "MOST_SCENES",
    "Consent",
    "RulesChange",
    "TenantRules",
    "check_qualified",
    "check_scene",
    "check_scenes",
    "read_rules",
]

MOST_SCENES = 100
"""Scenes that a tenant may have."""


class Consent(StrEnum):
    """
    Whether the consent of parties is asked for as they are bound.
    """

    OFF = "off"
    ASSERTED = "asserted"
    """The tenant states it with the bind, which is written down; or it is in the ledger."""
    REQUIRED = "required"
    """It is in the ledger."""


_SCENE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRules:
    """
    The rules of one tenant.

    Attributes:
        tenant_id: Of the tenant.
        needs_order: Whether a binding needs the id of an order.
        scenes: Codes of the uses that it may bind for, one of which a binding names; none: a
            binding may name any.
        max_pair_binds: So many times the same two may be bound within an hour; :obj:`None`: any
            number.
        max_order_pairs: So many different parties may be bound by one order; :obj:`None`: any
            number.
        refuses_pairs: Whether more of them are refused, and not only told.
        consent: Whether the consent of its parties is asked for.
        needs_real_name: Whether its parties have to be known by their real names.
        bind_rates: How many bindings are made in a time.
    """

    tenant_id: int
    needs_order: bool = False
    scenes: tuple[str, ...] = ()
    max_pair_binds: int | None = None
    max_order_pairs: int | None = None
    refuses_pairs: bool = False
    consent: Consent = Consent.OFF
    needs_real_name: bool = False
    bind_rates: BindRates = field(default_factory=BindRates)

    @property
    def asks_people(self) -> bool:
        """
        Whether anything is asked of the parties themselves.
        """
        return self.needs_real_name or self.consent is not Consent.OFF

    def check(self, *, order: str | None, scene: str | None) -> None:
        """
        Make sure that a binding names what it is to name.

        Raises:
            OrderMissing: It needs an order.
            SceneUnknown: Its scene is none of the tenant's, or it names none and is to.
        """
        if self.needs_order and order is None:
            raise OrderMissing
        if self.scenes and scene not in self.scenes:
            named = "names no scene" if scene is None else f"names the scene {scene!r}"
            raise SceneUnknown(f"the binding {named}: say one of {', '.join(self.scenes)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesChange:
    """
    What becomes other rules; :obj:`None`: it stays, and 0: there is no limit.
    """

    needs_order: bool | None = None
    scenes: Sequence[str] | None = None
    max_pair_binds: int | None = None
    max_order_pairs: int | None = None
    refuses_pairs: bool | None = None
    consent: Consent | None = None
    needs_real_name: bool | None = None
    bind_rates: BindRates | None = None

    def __str__(self) -> str:
        """
        Which rules become what, as the audit says it.
        """
        said = ((each.name, getattr(self, each.name)) for each in fields(self))
        return ", ".join(f"{name} {_word(value)}" for name, value in said if value is not None)

    @property
    def values(self) -> dict[str, Any]:
        """
        What the statement is given.
        """
        rates = self.bind_rates
        return {
            "bind_limits": None if rates is None else rates.words,
            "needs_order": self.needs_order,
            "scenes": None if self.scenes is None else list(self.scenes),
            "max_pair_binds": self.max_pair_binds,
            "max_order_pairs": self.max_order_pairs,
            "refuses_pairs": self.refuses_pairs,
            "consent": self.consent,
            "needs_real_name": self.needs_real_name,
        }


def read_rules(row: dict[str, Any]) -> TenantRules:
    """
    The rules of a tenant, from its row.
    """
    return TenantRules(
        tenant_id=row["id"],
        needs_order=row["needs_order"],
        scenes=tuple(row["scenes"]),
        max_pair_binds=row["max_pair_binds"],
        max_order_pairs=row["max_order_pairs"],
        refuses_pairs=row["refuses_pairs"],
        consent=Consent(row["consent"]),
        needs_real_name=row["needs_real_name"],
        bind_rates=read_bind_rates(row["bind_limits"] or {}),
    )


def check_qualified(tenant: str, *, qualified: bool) -> None:
    """
    Make sure that a tenant's qualification is valid.

    Raises:
        TenantUnqualified: It is not.
    """
    if not qualified:
        raise TenantUnqualified(
            f"the qualification of tenant {tenant!r} is not valid now: nothing is bound for it"
            " until 'agi-router tenant qualify' has recorded another one"
        )


def check_scene(text: str) -> str:
    """
    Return *text* if it may be the code of a scene.

    Raises:
        ValueError: If it may not.
    """
    if not _SCENE.fullmatch(text):
        raise ValueError("a scene has 1 to 32 of a-z, A-Z, 0-9, '.', '_' and '-'")
    return text


def check_scenes(scenes: Sequence[str]) -> Sequence[str]:
    """
    Return *scenes*, each once, if a tenant may have them.

    Raises:
        ValueError: It may not.
    """
    found = list(dict.fromkeys(map(check_scene, scenes)))
    if len(found) > MOST_SCENES:
        raise ValueError(f"a tenant has at most {MOST_SCENES} scenes")
    return found


def _word(value: Any) -> str:
    match value:
        case bool():
            return "on" if value else "off"
        case BindRates():
            return " ".join(f"{name} {rate}" for name, rate in value.words.items()) or "none"
        case int():
            return str(value or "any")
        case str():
            return str(value)
    return " ".join(value) or "any"
