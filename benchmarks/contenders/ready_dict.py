"""Starlette, serialising a dict that is ready: `python -m benchmarks.contenders.ready_dict answers.json`.

No server in Python that builds its answer out of objects can do less.
"""

import sys
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.contenders.uvicorn_like_ours import serve


def application(answers: dict[str, Any]) -> Starlette:
    """Answers each of these queries, asked by its text, with its dict."""

    async def answer(request: Request) -> Response:
        asked = orjson.loads(await request.body())
        return Response(orjson.dumps(answers[asked["query"]]), media_type="application/json")

    return Starlette(routes=[Route("/graphql", answer, methods=["POST"])])


if __name__ == "__main__":
    serve(application(orjson.loads(Path(sys.argv[1]).read_bytes())))
