# Stepwell as a container; README.md describes how to run it. test/docker_slow_test.ts runs these steps without an engine.
FROM denoland/deno:2.9.6

# The data folder: mount a volume here.
RUN ["install", "--directory", "--owner=deno", "/data"]
VOLUME /data

WORKDIR /app
USER deno

# Packages have their own layer, so that it is rebuilt when the lock file changes, not with every change of the code.
COPY deno.json deno.lock ./
RUN ["deno", "install", "--frozen"]

COPY kernels ./kernels
COPY src ./src
COPY routes ./routes

# On an address beyond loopback the service does not start without STEPWELL_TOKEN or STEPWELL_TOKENS. The file that the
# latter names belongs into /etc/stepwell, mounted read-only.
ENV STEPWELL_HOST=0.0.0.0
ENV STEPWELL_PORT=8080
ENV STEPWELL_DATA=/data
EXPOSE 8080

HEALTHCHECK --interval=30s --timeout=5s \
  CMD ["deno", "eval", "const { ok } = await fetch('http://127.0.0.1:' + Deno.env.get('STEPWELL_PORT') + '/healthz'); Deno.exit(ok ? 0 : 1);"]

# The task `start` without downloads. It is run directly, so that SIGTERM reaches the service.
CMD ["deno", "run", "--cached-only", "--no-prompt", "--allow-net", "--allow-env=STEPWELL_*,DENO_KV_ACCESS_TOKEN", "--allow-read=src,/data,/etc/stepwell", "--allow-write=/data", "--v8-flags=--no-liftoff", "src/main.ts"]
