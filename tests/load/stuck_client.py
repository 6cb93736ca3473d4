"""A client that the test kills: opens a long stream, says so at the first token, and reads on.

    stuck_client.py PORT CHOICES
"""
import asyncio
import sys

from http_client import Connection


async def main(port: int, choices: int) -> None:
    connection = await Connection.open(port)
    connection.post("/v1/completions", {"prompt": "Go on:", "stream": True, "n": choices, "max_tokens": 480,
                                        "ignore_eos": True})
    await connection.read_head()
    async for _ in connection.read_events():
        print("a token", flush=True)


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
