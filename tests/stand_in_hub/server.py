"""Two origins on loopback, the Hub's and the storage's, in one thread."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import parse_qs

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tests.stand_in_hub.answers import Call
from tests.stand_in_hub.store import Fault, RefusedError, StandInHub


class Origin:
    """One of the two servers, an ASGI application."""

    def __init__(
        self, hub: StandInHub, answering: Callable[[Call], Response], name: str = "127.0.0.1"
    ) -> None:
        self.hub = hub
        self.answering = answering
        self.name = name
        config = uvicorn.Config(
            self, "127.0.0.1", 0, http="h11", ws="none", lifespan="off", log_level="critical"
        )
        self.server = uvicorn.Server(config)

    @property
    def url(self) -> str:
        return f"http://{self.name}:{self.server.servers[0].sockets[0].getsockname()[1]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            return
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        call = Call(
            self.hub,
            scope["method"],
            scope["path"],
            parse_qs(scope["query_string"].decode()),
            headers,
            body,
        )
        self.hub.seen.append(f"{call.method} {call.path}")
        fault = self.take_fault(call)
        response = await self.spoilt(fault, call) if fault else self.answer(call)
        if response is None:
            self.close(scope["client"])
            while (await receive())["type"] != "http.disconnect":
                pass
        elif (
            fault and fault.truncate is not None
        ):  # uvicorn closes the connection of an answer that was not ended
            await send(
                {
                    "type": "http.response.start",
                    "status": response.status_code,
                    "headers": response.raw_headers,
                }
            )
            await send(
                {
                    "type": "http.response.body",
                    "body": response.body[: fault.truncate],
                    "more_body": True,
                }
            )
        else:
            await response(scope, receive, send)

    def answer(self, call: Call) -> Response:
        try:
            return self.answering(call)
        except RefusedError as refused:
            return JSONResponse(
                {"error": str(refused)}, status_code=refused.status, headers=refused.headers
            )

    def take_fault(self, call: Call) -> Fault | None:
        """The first that matches; it is used up."""
        storage, faults = self.answering is Call.storage, self.hub.faults
        at = next(
            (i for i, fault in enumerate(faults) if fault.matches(call.method, call.path, storage)),
            None,
        )
        return None if at is None else faults.pop(at)

    async def spoilt(self, fault: Fault, call: Call) -> Response | None:
        """The answer under a fault, None for no answer."""
        await asyncio.sleep(fault.delay)
        if fault.action:
            await asyncio.to_thread(fault.action)
        response = self.answer(call) if fault.lets_through else None
        if fault.drop:
            return None
        if response is None or fault.status:
            body = fault.body or {"error": fault.said or f"Fault {fault.status}"}
            response = JSONResponse(body, status_code=fault.status or 500)
        response.headers.update(fault.headers)
        return response

    def close(self, client: object) -> None:
        """Close a client's connection without an answer."""
        for connection in list(self.server.server_state.connections):
            if getattr(connection, "client", None) == client:
                connection.transport.close()


@contextmanager
def serve(users: Mapping[str, str] | None = None) -> Iterator[StandInHub]:
    """Run the Hub on two free ports; `users` is token to user."""
    hub = StandInHub(users or {"hf_lab": "lab", "hf_other": "other"})
    origins = [Origin(hub, Call.answer), Origin(hub, Call.storage, "localhost")]

    async def run() -> None:
        await asyncio.gather(*(origin.server.serve() for origin in origins))

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    while not all(origin.server.started for origin in origins):
        assert thread.is_alive()
        time.sleep(0.01)
    hub.url, hub.storage_url = (origin.url for origin in origins)
    try:
        yield hub
    finally:
        for origin in origins:
            origin.server.should_exit = True
        thread.join()
