# curl as it is. Chunks by a header; HTTP/2 is asked for and ignored.
set -eu
ask() {
  curl -sS -o "$STEPWELL_SCRATCH/answer" -D "$STEPWELL_SCRATCH/head" -w '%{http_code}\n' -H 'Content-Type: application/json' "$@"
  tag=$(sed -n 's/^etag: \(.*\)\r$/\1/p' "$STEPWELL_SCRATCH/head")
}
step='{"gradients":{"w":[1,2]}}'
ask --http2 "$STEPWELL_URL/healthz"
ask --http2 "$STEPWELL_URL/v1/runs" -d '{"id":"client","optimizer":"SGD","variables":[{"name":"w","shape":[2]}]}'
for count in 1 2 3 4; do ask --http2 "$STEPWELL_URL/v1/runs/client/gradients" -d "$step"; done
ask -H 'Expect: 100-continue' "$STEPWELL_URL/v1/runs/client/gradients" -d "$step"
old=$tag
ask -H 'Transfer-Encoding: chunked' "$STEPWELL_URL/v1/runs/client/gradients" -d "$step"
ask "$STEPWELL_URL/v1/runs/client/gradients" -d '{'
ask -H "If-None-Match: $old" "$STEPWELL_URL/v1/runs/client/variables"
ask -H 'If-None-Match: "v6"' "$STEPWELL_URL/v1/runs/client/variables"
ask -I "$STEPWELL_URL/v1/runs/client"
ask -X DELETE "$STEPWELL_URL/v1/runs/client"
ask "$STEPWELL_URL/v1/runs/client"
