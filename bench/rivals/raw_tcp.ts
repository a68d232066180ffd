/**
 * The rival for receiving bytes: a process that reads bytes from a TCP connection and does nothing with them.
 * ingest.ts starts it with `deno run --allow-net raw_tcp.ts BYTES`. It prints its port, and answers every BYTES bytes
 * with one byte.
 */

const BUFFER_BYTES = 1024 * 1024;

if (import.meta.main) {
  const wanted = Number(Deno.args[0]);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log(listener.addr.port);
  const connection = await listener.accept();
  const buffer = new Uint8Array(BUFFER_BYTES);
  const answer = new Uint8Array(1);
  for (let got = 0;;) {
    const count = await connection.read(buffer);
    if (count === null) break;
    got += count;
    if (got < wanted) continue;
    got -= wanted;
    await connection.write(answer);
  }
  connection.close();
  listener.close();
}
