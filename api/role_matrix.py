"""The role matrix, as Markdown out of the code: what each ready role may do on which records, and what takes what."""

from collections.abc import Iterable, Iterator

from api.reading.policies import POLICIES, Everybody, OfRecord, Takes
from domain.access import NEEDS, NEEDS_TOO
from domain.catalogue import catalogue, mutation_name
from domain.kernel.permissions import Permission, Scope
from domain.ready_roles import READY


def role_matrix() -> str:
    """Three tables: permissions by role, mutations by permission, tables of the read models by who sees their rows."""
    return "\n".join([*_permissions(), "", *_mutations(), "", *_rows(), ""])


def _permissions() -> Iterator[str]:
    yield "| permission | what it allows | " + " | ".join(role.name for role in READY) + " |"
    yield "|---|---|" + "---|" * len(READY)
    for permission in Permission:
        held = ({one.permission: one.scope for one in role.grants}.get(permission) for role in READY)
        scopes = " | ".join("" if scope is None else _shown(scope) for scope in held)
        yield f"| `{permission.name}` | {permission.meaning} | {scopes} |"


def _shown(scope: Scope) -> str:
    return scope.name.lower()


def _mutations() -> Iterator[str]:
    yield "| permission | mutations that take it, on the record that they change |"
    yield "|---|---|"
    for permission in Permission:
        taking = [
            mutation_name(decider, verb)
            for decider in catalogue.deciders.values()
            for verb, command in decider.commands.items()
            if NEEDS[command] is permission
        ]
        if taking:
            yield f"| `{permission.name}` | {_listed(taking)} |"
    yield ""
    for command, permission in NEEDS_TOO.items():
        decider = catalogue.by_command[command]
        [verb] = (verb for verb, one in decider.commands.items() if one is command)
        yield f"`{mutation_name(decider, verb)}` takes `{permission.name}` too."


def _rows() -> Iterator[str]:
    yield "| rows of | who sees them | hidden without `SEE_PERSONAL_DATA` | hidden without `SEE_AMOUNTS` |"
    yield "|---|---|---|---|"
    for name, policy in POLICIES.items():
        match policy.rows:
            case OfRecord(permission=permission) | Takes(permission=permission):
                who = f"`{permission.name}`"
            case Everybody():
                who = "whoever has any permission"
            case _:
                who = "whoever sees the record"
        personal = "all of it" if policy.all_personal else _listed(policy.personal)
        if policy.columns is not None:
            personal = "what the event seals, external ids, and the reason"
        amounts = _listed(policy.amounts) if policy.columns is None else "what holds money"
        yield f"| `{name}` | {who} | {personal} | {amounts} |"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
