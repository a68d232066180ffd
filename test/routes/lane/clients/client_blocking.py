"""Python's requests, or httpx, as it is: the argument says which. They have one interface, but for two names."""

import importlib
import os
import sys

library = importlib.import_module(sys.argv[1])
client, content = {"requests": ("Session", "data"), "httpx": ("Client", "content")}[sys.argv[1]]
session = getattr(library, client)()


def ask(method, path, body=None, tag=None):
    headers = {"Content-Type": "application/json", **({"If-None-Match": tag} if tag else {})}
    answer = session.request(method, os.environ["STEPWELL_URL"] + path, headers=headers, **{content: body})
    print(answer.status_code)
    return answer.headers.get("ETag")


STEPS, STEP = "/v1/runs/client/gradients", b'{"gradients":{"w":[1,2]}}'
ask("GET", "/healthz")
ask("POST", "/v1/runs", '{"id":"client","optimizer":"SGD","variables":[{"name":"w","shape":[2]}]}')
for _ in range(5):
    tag = ask("POST", STEPS, STEP)
# Of unknown length: in chunks.
ask("POST", STEPS, iter([STEP[:5], STEP[5:]]))
ask("POST", STEPS, "{")
ask("GET", "/v1/runs/client/variables", tag=tag)
ask("GET", "/v1/runs/client/variables", tag='"v6"')
ask("HEAD", "/v1/runs/client")
ask("DELETE", "/v1/runs/client")
ask("GET", "/v1/runs/client")
