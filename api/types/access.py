"""Who may do what: roles, and the API tokens of machines."""

from datetime import datetime

import strawberry

from api.reading.declarations import all_of, column, connection, expression, rows_of
from api.reading.relay import Connection, Node
from api.reading.sources import Through
from api.scalars import Position
from api.types.later import LaterStaffMember
from api.types.parts import History, history, position, recorded_at, version
from api.types.words import ApiTokenStatus, Permission, RoleStatus, Scope
from domain.catalogue import catalogue
from projections import api_tokens, roles, staff_members


@rows_of(roles.GRANTS, order="ordinal")
@strawberry.type(description="A permission, and on which records it holds.")
class Grant:
    permission: Permission = column("permission", "What is allowed.", filtered=True)
    scope: Scope = column("scope", "On which records.", filtered=True)


@rows_of(roles.ROLES, order="name_key", prefix=catalogue.prefixes["role"], listed=("status", "active"))
@strawberry.type(description="What somebody may do who has it. Of several roles the most permissive wins.")
class Role(Node):
    name: str = column("name", "What people call it.", sort="name_key", filtered=True)
    description: str | None = column("description", "Whom it is for, and what it allows.")
    status: RoleStatus = column("status", "Whether it allows anything.", filtered=True)
    grants: list[Grant] = all_of(
        "What it allows, in the order of the permissions.", on={"role_id": "id"}, filtered=True
    )
    staff_members: Connection[LaterStaffMember] = connection(
        "Who has it.",
        through=(Through(staff_members.ROLES, on={"role_id": "id"}, key="staff_member_id"),),
        filtered=True,
    )
    created_at: datetime = column("created_at", "When it was defined.", sort="created_at", filtered=True)
    changed_at: datetime = column("changed_at", "When something last happened to it.", filtered=True, sort="changed_at")
    version: int = version()
    position: Position = position()
    recorded_at: datetime = recorded_at()
    history: History = history()


@rows_of(api_tokens.API_TOKENS, order="name_key", prefix=catalogue.prefixes["api_token"], listed=("status", "active"))
@strawberry.type(
    description="What a machine comes in with. The token itself is shown once, by `apiTokenIssue`, and stored nowhere."
)
class ApiToken(Node):
    name: str | None = column(
        "name", "What it is for; null where it is hidden from you.", sort="name_key", filtered=True
    )
    status: ApiTokenStatus = column("status", "Whether it was revoked; look at `expiresAt` too.", filtered=True)
    grants: list[Grant] = all_of(
        "What it allows, on every record.", on={"api_token_id": "id"}, table=api_tokens.GRANTS, filtered=True
    )
    issued_by: str = column("issued_by", "Who issued it.", filtered=True)
    expires_at: datetime = column(
        "expires_at", "From when on it opens nothing any more.", sort="expires_at", filtered=True
    )
    last_used_at: datetime | None = expression(
        "(SELECT last_used_at FROM daybook_access.token_uses WHERE token_id = {id} AND last_used_at <= {now})",
        "When it was used last, to the minute; null where it never was. Only the last use is kept: as of a past moment,"
        " null where it was used since.",
    )
    revoked_at: datetime | None = column("revoked_at", "When it was revoked; null where it was not.", filtered=True)
    created_at: datetime = column("created_at", "When it was issued.", sort="created_at", filtered=True)
    changed_at: datetime = column("changed_at", "When something last happened to it.", filtered=True, sort="changed_at")
    version: int = version()
    position: Position = position()
    recorded_at: datetime = recorded_at()
    history: History = history()
