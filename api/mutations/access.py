"""Mutations about signing in. They are no commands on records: what they change is not in the book."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry.types.field import StrawberryField

from api.errors import RequestError, RequestErrorCode, UserError, user_errors
from api.identity.accounts import issue_reset
from api.identity.behalf import NO_COMMAND
from api.identity.cookie import cookie
from api.identity.rules import NoSession, StaffMemberNotActive
from api.serving import Request, RequestInfo
from domain.appending import NotAllowed
from domain.kernel import Refused, parse_type_id, type_id
from domain.kernel.identifiers import NotATypeId
from domain.kernel.permissions import Permission
from domain.staff_member import staff_member as staff

_ERRORS = "Every rule that it broke; empty: it is done."


@strawberry.input(description="What one signs in with.")
class SignInInput:
    email: str = strawberry.field(description="The staff member's e-mail address.")
    password: str = strawberry.field(description="The password; send it in `variables`.")


@strawberry.input(description="Whom to sign out.")
class SignOutEverywhereInput:
    staff_member: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Somebody else, for which one must manage access; left out: oneself."
    )


@strawberry.input(description="The password in force, and the one to come.")
class PasswordChangeInput:
    old_password: str = strawberry.field(description="The password in force; send it in `variables`.")
    password: str = strawberry.field(description="The new one, of 12 to 200 characters; send it in `variables`.")


@strawberry.input(description="A one-time token, and the password to come.")
class PasswordResetInput:
    token: str = strawberry.field(description="What `passwordResetIssue` or the operator has given out.")
    password: str = strawberry.field(description="The new one, of 12 to 200 characters; send it in `variables`.")


@strawberry.input(description="Whom a one-time token is for.")
class PasswordResetIssueInput:
    staff_member: strawberry.ID = strawberry.field(description="An active staff member.")


@strawberry.type(description="What signing in or out, or a new password, came to.")
class SignInPayload:
    staff_member_id: strawberry.ID | None = strawberry.field(description="Who it was; null where it was refused.")
    user_errors: list[UserError] = strawberry.field(description=_ERRORS)


@strawberry.type(description="A one-time token with which somebody sets a password. It is shown this once.")
class PasswordResetIssuePayload:
    token: str | None = strawberry.field(description="The token: hand it over in person; null where it was refused.")
    expires_at: datetime | None = strawberry.field(description="Until when it can be used, once.")
    user_errors: list[UserError] = strawberry.field(description=_ERRORS)


async def _sign_in(info: RequestInfo, input: Mapping[str, Any]) -> SignInPayload:  # noqa: A002
    request = _over_http(info)
    accounts, former = request.serving.accounts, request.caller.session
    try:
        id, value = await accounts.sign_in(input["email"], input["password"], request.arrival.address)
    except Refused as refused:
        return _refused(refused)
    if former is not None:
        await accounts.sessions.end(former.hash)
    request.cookie = cookie(request.arrival.headers, value)
    return _done(id)


async def _sign_out(info: RequestInfo) -> SignInPayload:
    request = _over_http(info)
    session = request.caller.session
    if session is None:
        return _refused(Refused(NoSession()))
    await request.serving.accounts.sessions.end(session.hash)
    request.cookie = cookie(request.arrival.headers, None)
    return _done(session.staff_member)


async def _sign_out_everywhere(info: RequestInfo, input: Mapping[str, Any]) -> SignInPayload:  # noqa: A002
    request, named = _in_own_name(info), input.get("staffMember")
    own = request.authority.staff_member
    try:
        id = own if named is None else _staff_member(request, named)
        if id is None:
            raise Refused(NoSession())
    except Refused as refused:
        return _refused(refused)
    leaves = id == own and request.caller.session is not None
    request.signs_out |= leaves
    await request.serving.accounts.end_all_sessions(id, request.actor)
    if leaves and request.arrival.takes_cookies:
        request.cookie = cookie(request.arrival.headers, None)
    return _done(id)


async def _change(info: RequestInfo, input: Mapping[str, Any]) -> SignInPayload:  # noqa: A002
    request = _over_http(info)
    session, address = request.caller.session, request.arrival.address
    if session is None:
        return _refused(Refused(NoSession()))
    try:
        value = await request.serving.accounts.change_password(
            session, input["oldPassword"], input["password"], address
        )
    except Refused as refused:
        return _refused(refused)
    request.cookie = cookie(request.arrival.headers, value)
    return _done(session.staff_member)


async def _reset(info: RequestInfo, input: Mapping[str, Any]) -> SignInPayload:  # noqa: A002
    request = _over_http(info)
    try:
        id = await request.serving.accounts.reset_password(input["token"], input["password"], request.arrival.address)
    except Refused as refused:
        return _refused(refused)
    return _done(id)


async def _issue(info: RequestInfo, input: Mapping[str, Any]) -> PasswordResetIssuePayload:  # noqa: A002
    request = _in_own_name(info)
    try:
        id = _staff_member(request, input["staffMember"])
        if request.serving.accounts.directory.of_staff_member(id) is None:
            raise Refused(StaffMemberNotActive(path=("staff_member",)))
    except Refused as refused:
        return PasswordResetIssuePayload(token=None, expires_at=None, user_errors=user_errors(refused))
    token, expires_at = await issue_reset(request.serving.access, id, request.actor)
    return PasswordResetIssuePayload(token=token, expires_at=expires_at, user_errors=[])


def _refused(refused: Refused) -> SignInPayload:
    return SignInPayload(staff_member_id=None, user_errors=user_errors(refused))


def _done(id: UUID) -> SignInPayload:
    return SignInPayload(staff_member_id=strawberry.ID(type_id(staff.prefix, id)), user_errors=[])


def _staff_member(request: Request, given: str) -> UUID:
    """Somebody whose access the caller may manage. Raises Refused."""
    if not request.authority.has(Permission.MANAGE_ACCESS):
        raise Refused(NotAllowed(permission=Permission.MANAGE_ACCESS.name))
    try:
        prefix, id = parse_type_id(given)
    except NotATypeId:
        prefix, id = "", UUID(int=0)
    if prefix != staff.prefix:
        raise Refused(StaffMemberNotActive(path=("staff_member",)))
    return id


def _over_http(info: RequestInfo) -> Request:
    if not info.context.arrival.takes_cookies:
        raise RequestError(
            RequestErrorCode.BAD_REQUEST, "Send this over HTTP: a WebSocket can't set or remove a cookie."
        )
    return _in_own_name(info)


def _in_own_name(info: RequestInfo) -> Request:
    if info.context.acting_for is not None:
        raise NO_COMMAND
    return info.context


_INPUT = strawberry.argument(description="What it needs.")


def _field(name: str, resolve: Callable[..., Any], input: Any, payload: Any, description: str) -> StrawberryField:  # noqa: A002
    given = {} if input is None else {"input": Annotated[input, _INPUT]}
    # Nullable: of several mutations in one document one can fail, and the others' answers must stay.
    resolve.__annotations__ = {"info": RequestInfo, **given, "return": payload | None}
    field: Any = strawberry.mutation(resolve, name=name, description=description)
    made: StrawberryField = field
    return made


def access_mutations() -> list[StrawberryField]:
    """The fields of the Mutation root that are about signing in."""
    return [
        _field(
            "signIn", _sign_in, SignInInput, SignInPayload,
            "Sign in with a password. The answer sets a session's cookie; requests with it need the header"
            " `Daybook-CSRF: 1`, and so does this one.",
        ),
        _field("signOut", _sign_out, None, SignInPayload, "End this session, and remove its cookie."),
        _field(
            "signOutEverywhere", _sign_out_everywhere, SignOutEverywhereInput, SignInPayload,
            "End every session of a staff member, on every device. Live connections are closed within a second or two,"
            " the one that it came over once it is answered.",
        ),
        _field(
            "passwordChange", _change, PasswordChangeInput, SignInPayload,
            "Change one's own password. Every session ends; the answer sets the cookie of a new one.",
        ),
        _field(
            "passwordReset", _reset, PasswordResetInput, SignInPayload,
            "Set a password with a one-time token. Every session ends; then sign in.",
        ),
        _field(
            "passwordResetIssue", _issue, PasswordResetIssueInput, PasswordResetIssuePayload,
            "Make a one-time token with which a staff member sets a password, also the first, within an hour. No mail"
            " is sent; an earlier token is good no more.",
        ),
    ]  # fmt: skip
