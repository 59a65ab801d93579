"""Python's gql, over HTTP and over a WebSocket, against a real server."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from gql import Client, GraphQLRequest, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

from api.schema import schema_text
from tests.api.book import HEADERS
from tests.api.listening import Server, listening

pytestmark = pytest.mark.anyio

REGISTER = gql(
    "mutation Register($input: CustomerRegisterInput!)"
    " { customerRegister(input: $input) { customer { id name } position userErrors { code } } }"
)
CUSTOMER = gql("query Customer($id: ID!) { customer(id: $id) { name } }")
FEED = gql("subscription Feed($after: Position) { changes(after: $after) { position change { type } } }")


def asked(document: GraphQLRequest, variables: dict[str, Any]) -> GraphQLRequest:
    return GraphQLRequest(document, variable_values=variables)


def person(name: str) -> dict[str, dict[str, str]]:
    return {"input": {"idempotencyKey": str(uuid4()), "kind": "PERSON", "name": name}}


def http(server: Server) -> Client:
    """Fetches the schema, and checks every document against it before it is sent."""
    transport = HTTPXAsyncTransport(f"http://127.0.0.1:{server.port}/graphql", headers=HEADERS, timeout=30)
    return Client(transport=transport, fetch_schema_from_transport=True)


def socket(server: Server) -> Client:
    transport = WebsocketsTransport(
        f"ws://127.0.0.1:{server.port}/graphql",
        init_payload={"Authorization": HEADERS["Authorization"]},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    return Client(transport=transport, schema=schema_text())


async def test_over_http(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        async with http(server) as session:
            written = (await session.execute(asked(REGISTER, person("Ada"))))["customerRegister"]
            assert (written["customer"]["name"], written["userErrors"]) == ("Ada", [])
            read = await session.execute(asked(CUSTOMER, {"id": written["customer"]["id"]}))
            assert read == {"customer": {"name": "Ada"}}
            refused = await session.execute(asked(REGISTER, person(" ")))
            assert refused["customerRegister"]["userErrors"] == [{"code": "TEXT_EMPTY"}]


async def test_over_a_websocket(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        async with socket(server) as session:
            written = (await session.execute(asked(REGISTER, person("Ada"))))["customerRegister"]
            seen = []
            async for message in session.subscribe(asked(FEED, {"after": "0"})):
                seen.append(message["changes"])
                if message["changes"]["position"] == written["position"]:
                    break
            assert seen == [
                {"position": "0", "change": None},
                {"position": "1", "change": {"type": "CustomerRegistered"}},
            ]
            with pytest.raises(TransportQueryError) as caught:
                await anext(session.subscribe(asked(FEED, {"after": "5000"})))
            assert [error["extensions"]["code"] for error in caught.value.errors or ()] == ["POSITION_UNKNOWN"]
            read = await session.execute(asked(CUSTOMER, {"id": written["customer"]["id"]}))
            assert read == {"customer": {"name": "Ada"}}
