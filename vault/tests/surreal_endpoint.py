"""A SurrealDB server made of the client's embedded engine: its frames over a WebSocket.

    python surreal_endpoint.py ENGINE PORT PATH PASSWORD

ENGINE is `engine2` or `engine3`, whichever Python finds; PATH is `mem://` or
`surrealkv://folder`; PASSWORD is that of the user `root`.
"""

import asyncio
import sys
import uuid
from typing import Any

from surrealdb.data.cbor import decode, encode
from websockets.asyncio.server import ServerConnection, serve

_LARGEST_FRAME = 1 << 27  # bytes


class Engine3:
    """Serves every connection in a session of its own, and all of them at once."""

    def __init__(self, path: str) -> None:
        from surrealdb_embedded import AsyncEmbeddedDB

        self._engine = AsyncEmbeddedDB(path)

    async def open(self, password: str) -> None:
        await self._engine.connect()
        await self._rpc("query", [_define_root(password), {}])

    async def serve(self, connection: ServerConnection) -> None:
        session = uuid.uuid4()
        await self._rpc("attach", [session], session=session)
        running: set[asyncio.Task[None]] = set()
        try:
            async for frame in connection:
                task = asyncio.create_task(self._answer(connection, session, frame))
                running.add(task)
                task.add_done_callback(running.discard)
        finally:
            await asyncio.gather(*running, return_exceptions=True)
            await self._rpc("detach", [session], session=session)

    async def _answer(self, connection: ServerConnection, session: uuid.UUID, frame: Any) -> None:
        # A map of few keys begins with their number: one more is put in front, and nothing decoded.
        more = bytes([frame[0] + 1]) + encode({"session": session})[1:] + frame[1:]
        await connection.send(await execute(self._engine, more))

    async def _rpc(self, method: str, params: list[Any], **more: uuid.UUID) -> None:
        request = {"id": "own", "method": method, "params": params, **more}
        await execute(self._engine, encode(request))


class Engine2:
    """Serves all connections in the engine's only session, one request after another.

    It dies of parallel writes to a vector index, and has one current database. Frames pass as they
    are: the client of this engine does not tell NULL from NONE when it decodes them.
    """

    def __init__(self, path: str) -> None:
        from surrealdb._surrealdb_ext import AsyncEmbeddedDB

        self._engine = AsyncEmbeddedDB(path)
        self._one = asyncio.Lock()
        self._current: list[str] = []

    async def open(self, password: str) -> None:
        await self._engine.connect()
        await self._rpc("query", [_define_root(password), {}])

    async def serve(self, connection: ServerConnection) -> None:
        chosen: list[str] = []
        async for frame in connection:
            request = decode(frame)
            async with self._one:
                if request["method"] == "use":
                    chosen = request["params"]
                elif chosen != self._current:
                    await self._rpc("use", chosen)
                self._current = chosen
                answer = await execute(self._engine, frame)
            await connection.send(answer)

    async def _rpc(self, method: str, params: list[Any]) -> None:
        await execute(self._engine, encode({"id": "own", "method": method, "params": params}))


async def execute(engine: Any, frame: Any) -> bytes:
    """Return the engine's answer; what it raises becomes one, as at a server."""
    try:
        return await engine.execute(frame)
    except Exception as error:
        refusal = {"code": -32000, "message": str(error)}
        return encode({"id": decode(frame).get("id"), "error": refusal})


def _define_root(password: str) -> str:
    return f"DEFINE USER IF NOT EXISTS root ON ROOT PASSWORD '{password}' ROLES OWNER"


async def main(engine: str, port: str, path: str, password: str) -> None:
    chosen = {"engine2": Engine2, "engine3": Engine3}[engine](path)
    await chosen.open(password)
    async with serve(
        chosen.serve,
        "127.0.0.1",
        int(port),
        subprotocols=["cbor"],  # type: ignore[list-item]
        max_size=_LARGEST_FRAME,
        compression=None,
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
