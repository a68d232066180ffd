"""The rival service: FastAPI + torch in its best form. One Adam step on one variable of COUNT float32 numbers.

POST /gradients takes raw little-endian float32, streams it into a preallocated tensor as it arrives, then steps with
the fused CPU kernel. uvicorn runs on uvloop and httptools, without an access log; torch runs on one thread. There are
no norms, no check for non-finite numbers, and no validation except of the length.

Arguments: COUNT PORT. GET /variables returns the variable's bytes.
"""

import gc
import sys

import torch
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response

COUNT, PORT = int(sys.argv[1]), int(sys.argv[2])

torch.set_num_threads(1)
variable = torch.nn.Parameter(torch.zeros(COUNT))
variable.grad = torch.zeros(COUNT)
optimizer = torch.optim.Adam([variable], lr=0.001, betas=(0.9, 0.999), eps=1e-7, fused=True)
staging = memoryview(variable.grad.numpy()).cast("B")
app = FastAPI()
steps = 0


@app.post("/gradients")
async def gradients(request: Request) -> Response:
    global steps
    filled = 0
    async for chunk in request.stream():
        end = filled + len(chunk)
        if end > len(staging):
            return Response(status_code=413)
        staging[filled:end] = chunk
        filled = end
    if filled != len(staging):
        return Response(status_code=400)
    optimizer.step()
    steps += 1
    return Response(f'{{"iterations": {steps}}}', media_type="application/json")


@app.get("/variables")
async def variables() -> Response:
    return Response(variable.detach().numpy().tobytes(), media_type="application/octet-stream")


gc.freeze()
uvicorn.run(app, host="127.0.0.1", port=PORT, loop="uvloop", http="httptools", log_level="warning", access_log=False,
            # Its default of 5 s ends the connection while the other contender has a long turn.
            timeout_keep_alive=600)
