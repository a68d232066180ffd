"""Python's httpx as it is."""

import os

import httpx

client = httpx.Client(base_url=os.environ["STEPWELL_URL"])


def ask(method, path, body=None, tag=None):
    headers = {"Content-Type": "application/json", **({"If-None-Match": tag} if tag else {})}
    answer = client.request(method, path, content=body, headers=headers)
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
