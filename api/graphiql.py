"""GraphiQL, for a browser at /graphql: the page and its files, built by `make graphiql`, all from this server.

The page asks for the token itself; neither it nor its files tell anything of the book.
"""

from functools import cache
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

POLICY = (
    "default-src 'none'; base-uri 'none'; connect-src 'self'; form-action 'none'; frame-ancestors 'none';"
    " img-src data:; script-src 'self'; style-src 'self'"
)
"""Its own script and style sheet run, it talks to this server, and nothing else happens."""

MEDIA = {".css": "text/css", ".js": "text/javascript", ".txt": "text/plain"}
"""Files that the page may ask for, by the end of their name. Each name holds a hash of the content."""


def page() -> Response:
    """The page, under a policy that runs its own files and nothing else."""
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": POLICY, "Vary": "Accept"}
    return HTMLResponse(_read("graphiql.html"), headers=headers)


def asset(http: Request) -> Response:
    """One of the page's files, to be kept for good: another content has another name. 404 where there is none."""
    name: str = http.path_params["name"]
    if name not in _assets():
        raise HTTPException(404)
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(_read(name), headers=headers, media_type=_assets()[name])


@cache
def _assets() -> dict[str, str]:
    """The media type of each file."""
    ends = {one.name: "." + one.name.rpartition(".")[2] for one in _built.iterdir()}
    return {name: MEDIA[end] for name, end in ends.items() if end in MEDIA}


@cache
def _read(name: str) -> bytes:
    return (_built / name).read_bytes()


_built = files("api") / "browser"
