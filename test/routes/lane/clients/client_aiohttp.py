"""Python's aiohttp as it is."""

import asyncio
import os

import aiohttp

STEPS, STEP = "/v1/runs/client/gradients", b'{"gradients":{"w":[1,2]}}'


async def pieces():
    yield STEP[:5]
    yield STEP[5:]


async def main():
    async with aiohttp.ClientSession(os.environ["STEPWELL_URL"]) as session:

        async def ask(method, path, body=None, tag=None):
            headers = {"Content-Type": "application/json", **({"If-None-Match": tag} if tag else {})}
            async with session.request(method, path, data=body, headers=headers) as answer:
                await answer.read()
                print(answer.status)
                return answer.headers.get("ETag")

        await ask("GET", "/healthz")
        await ask("POST", "/v1/runs", b'{"id":"client","optimizer":"SGD","variables":[{"name":"w","shape":[2]}]}')
        for _ in range(5):
            tag = await ask("POST", STEPS, STEP)
        # Of unknown length: in chunks.
        await ask("POST", STEPS, pieces())
        await ask("POST", STEPS, b"{")
        await ask("GET", "/v1/runs/client/variables", tag=tag)
        await ask("GET", "/v1/runs/client/variables", tag='"v6"')
        await ask("HEAD", "/v1/runs/client")
        await ask("DELETE", "/v1/runs/client")
        await ask("GET", "/v1/runs/client")


asyncio.run(main())
