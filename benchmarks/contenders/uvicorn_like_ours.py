"""uvicorn with the settings of `daybook serve`; it says its port when it is ready."""

import socket

import uvicorn
from starlette.types import ASGIApp


def serve(application: ASGIApp) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        application, loop="uvloop", http="httptools", log_level="warning", access_log=False, server_header=False,
        proxy_headers=False,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listener])
