"""What schemathesis's command line takes from us: documents are repaired, and the ids in answers are taken up."""

import os
from typing import Any

import httpx
import schemathesis
from graphql import DocumentNode

from tests.fuzzing.repairs import lists, repaired, take_up


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: DocumentNode) -> DocumentNode:
    return repaired(body) or body


@schemathesis.hook
def after_call(
    context: schemathesis.HookContext, case: schemathesis.Case[Any], response: schemathesis.Response
) -> None:
    take_up(response.text)


take_up(
    httpx.post(
        os.environ["DAYBOOK_URL"],
        json={"query": lists()},
        headers={"Authorization": f"Bearer {os.environ['DAYBOOK_TOKEN']}"},
    ).text
)
