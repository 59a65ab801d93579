"""What may be asked by whom nothing else is allowed to, and how secrets come in: as variables, and never out again."""

from typing import Final

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    StringValueNode,
    Visitor,
    parse,
    visit,
)

from api.errors import RequestError, RequestErrorCode
from api.identity.caller import STRANGER, Caller
from api.identity.provider import unauthenticated

BY_STRANGERS: Final = frozenset(("signIn", "passwordReset"))
BY_EVERYBODY: Final = BY_STRANGERS | {"signOut", "signOutEverywhere", "passwordChange"}
"""By whom we know, also where no role allows them anything."""
SECRETIVE: Final = frozenset(("signIn", "passwordReset", "passwordChange"))
MOST_TOKENS: Final = 300
"""Of a document that a stranger may send."""


def is_open(asked: str | DocumentNode, caller: Caller) -> bool:
    """Whether a document is one mutation of those that need no role, written plainly."""
    try:
        document = parse(asked, max_tokens=MOST_TOKENS) if isinstance(asked, str) else asked
    except (GraphQLError, RecursionError):
        return False
    names = BY_STRANGERS if caller is STRANGER else BY_EVERYBODY
    match document.definitions:
        case [OperationDefinitionNode(operation=OperationType.MUTATION) as operation]:
            selected = operation.selection_set.selections
            return len(selected) == 1 and isinstance(selected[0], FieldNode) and selected[0].name.value in names
        case _:
            return False


def refusal(caller: Caller) -> RequestError:
    """Why somebody who is allowed nothing gets no answer."""
    return NO_CREDENTIAL if caller is STRANGER else NO_ROLE


def is_secretive(operation: OperationDefinitionNode) -> bool:
    """Whether a mutation takes a password: what is wrong with its variables is then told without their values."""
    return operation.operation is OperationType.MUTATION and any(
        isinstance(each, FieldNode) and each.name.value in SECRETIVE for each in operation.selection_set.selections
    )


def check_secrets(document: DocumentNode, operation: OperationDefinitionNode) -> None:
    """That no password stands in a document, which is kept. Raises RequestError."""
    if is_secretive(operation):
        visit(document, _NoTexts())


class _NoTexts(Visitor):
    def enter_string_value(self, _node: StringValueNode, *_: object) -> None:
        raise RequestError(
            RequestErrorCode.BAD_REQUEST, "Send passwords and tokens in `variables`: a document is no place for them."
        )


NO_CREDENTIAL: Final = unauthenticated(
    "The header `Authorization: Bearer <token>` is missing; or the session's cookie is, or is good no more: sign in."
)
NO_ROLE: Final = RequestError(
    RequestErrorCode.FORBIDDEN,
    "You are known here, but have no role that allows anything yet. An administrator has to grant you one.",
    status=403,
)
UNFIT: Final = RequestError(
    RequestErrorCode.BAD_USER_INPUT,
    "The variables do not fit what this mutation takes; see its input in the schema. Their values are not repeated.",
)
