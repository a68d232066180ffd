import assert from "node:assert/strict";
import { Descriptors } from "../src/descriptors.ts";
import { OpenPort } from "../src/open_port.ts";

const EXHAUSTED = new Error("Http Error: Too many open files (os error 24)");

/** A port whose servers end when the test says so. */
function world({ isFree = () => true }: { isFree?: () => boolean } = {}) {
  const servers: { end: (error?: Error) => void; closed: number }[] = [];
  const notices: string[] = [];
  const ends: unknown[] = [];
  const descriptors = new Descriptors(() => {
    if (!isFree()) throw EXHAUSTED;
    return { [Symbol.dispose]: () => {} };
  });
  descriptors.look();
  const port = new OpenPort({
    serve: () => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const server = { end: (error?: Error) => error ? reject(error) : resolve(), closed: 0 };
      servers.push(server);
      const shutdown = () => {
        server.closed += 1;
        resolve();
        return Promise.resolve();
      };
      return { finished: promise, shutdown };
    },
    descriptors,
    onNotice: (notice) => notices.push(notice),
    onEnd: (error) => ends.push(error),
  });
  return { port, servers, notices, ends };
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 10));
}

Deno.test("OpenPort opens the port again once the reserve of descriptors is whole", async () => {
  let isFree = true;
  const { port, servers, notices, ends } = world({ isFree: () => isFree });
  isFree = false;
  servers[0]?.end(EXHAUSTED);
  await until(() => notices.some((notice) => notice.includes("Idle")));
  assert.equal(servers.length, 1);
  assert.equal(servers[0]?.closed, 1);
  isFree = true;
  await until(() => servers.length === 2);
  assert.match(notices.join(), /^Cannot accept.*accepted again$/);
  await port.shutdown();
  assert.equal(servers[1]?.closed, 1);
  assert.deepEqual(ends, []);
});

Deno.test("OpenPort says so when a server ends for another reason", async () => {
  for (const error of [new Error("else"), undefined]) {
    const { servers, ends } = world();
    servers[0]?.end(error);
    await until(() => ends.length === 1);
    assert.match(String(ends[0]), error ? /else/ : /server ended/);
    assert.equal(servers.length, 1);
  }
});

Deno.test("OpenPort stays closed after shutdown()", async () => {
  const { port, servers, ends } = world();
  servers[0]?.end(EXHAUSTED);
  await port.shutdown();
  await new Promise((resolve) => setTimeout(resolve, 250));
  assert.equal(servers.length, 1);
  assert.deepEqual(ends, []);
});
