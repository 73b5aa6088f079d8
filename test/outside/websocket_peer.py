"""The Python peer of websocket-peers.test.ts; websocket-peer.ts is its twin and says what the messages mean.

serve: prints {"port": N}, then one JSON line [code, reason] per connection that closed.
call URL PLAN: does what the plan (JSON) says against a peer and prints what it saw as JSON.
"""

import asyncio
import json
import sys

import websockets

LIMIT = 4 << 20
PROTOCOL = "chat.v2"


def tell(value):
    print(json.dumps(value), flush=True)


async def answer(ws):
    try:
        async for message in ws:
            await answer_one(ws, message)
    except websockets.ConnectionClosed:
        pass
    await ws.wait_closed()
    tell([ws.close_code, ws.close_reason or ""])


async def answer_one(ws, message):
    if message == "!fragments":
        await ws.send(["one ", "", "two ", "three"])
    elif message == "!ping":
        await (await ws.ping(b"are you there"))
        await ws.send("pong came")
    elif message == "!terminate":
        ws.transport.abort()
    elif isinstance(message, str) and message.startswith("!close "):
        _, code, reason = message.split(" ", 2)
        await ws.close(int(code), reason)
    else:
        await ws.send(message)


async def serve():
    async with websockets.serve(answer, "127.0.0.1", 0, max_size=LIMIT, subprotocols=[PROTOCOL]) as server:
        tell({"port": server.sockets[0].getsockname()[1]})
        await asyncio.Future()


def connect(url):
    return websockets.connect(url, max_size=LIMIT, subprotocols=["chat.v1", PROTOCOL])


async def echoes(ws, size):
    text = "x" * size
    data = bytes(index % 251 for index in range(size))
    await ws.send(text)
    text_back = await ws.recv()
    await ws.send(data)
    return text_back == text and await ws.recv() == data


async def ask(ws, message):
    await ws.send(message)
    return await ws.recv()


async def close_by_server(url, command):
    async with connect(url) as ws:
        await ws.send(command)
        await ws.wait_closed()
        return [ws.close_code, ws.close_reason or ""]


async def close_by_us(url, code, reason):
    async with connect(url) as ws:
        await ask(ws, "hello")
        if code == 1006:
            ws.transport.abort()
        else:
            await ws.close(code, reason)


async def call(url, plan):
    seen = {}
    async with connect(url) as ws:
        seen["subprotocol"] = ws.subprotocol
        seen["echoed"] = [size for size in plan["sizes"] if await echoes(ws, size)]
        seen["ourFragments"] = await ask(ws, ["un ", "", "deux ", "trois"])
        seen["theirFragments"] = await ask(ws, "!fragments")
        await (await ws.ping(b"are you there"))
        seen["theirPong"] = True
        seen["ourPong"] = await ask(ws, "!ping")
    seen["closedByThem"] = [
        await close_by_server(url, "!terminate" if code == 1006 else f"!close {code} {reason}")
        for code, reason in plan["closes"]
    ]
    for code, reason in plan["closes"]:
        await close_by_us(url, code, reason)
    tell(seen)


if sys.argv[1] == "serve":
    asyncio.run(serve())
else:
    asyncio.run(call(sys.argv[2], json.loads(sys.argv[3])))
