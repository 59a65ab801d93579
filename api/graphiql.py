"""The page that a browser gets at /graphql: ours, self-contained, without a foreign asset. It asks for the token."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from starlette.responses import HTMLResponse, Response


def page() -> Response:
    """The page, under a policy that runs its own script and nothing else."""
    html, policy = _page()
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": policy, "Vary": "Accept"}
    return HTMLResponse(html, headers=headers)


@cache
def _page() -> tuple[str, str]:
    html = (files("api") / "graphiql.html").read_text(encoding="utf-8")
    policy = (
        "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
        f" script-src {_hash(html, 'script')}; style-src {_hash(html, 'style')} 'unsafe-hashes'"
    )
    return html, policy


def _hash(html: str, tag: str) -> str:
    (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
