/**
 * A very small HTTP/1.1 client on one kept-alive TCP connection, so that the client's own cost is small and the same
 * for every server. It understands only responses with a Content-Length.
 */

export interface Answer {
  readonly status: number;
  readonly body: Uint8Array<ArrayBuffer>;
}

export class HttpConnection {
  readonly #connection: Deno.TcpConn;
  readonly #host: string;
  readonly #buffer = new Uint8Array(65536);
  readonly #decoder = new TextDecoder();

  private constructor(connection: Deno.TcpConn, host: string) {
    this.#connection = connection;
    this.#host = host;
  }

  static async open(url: string): Promise<HttpConnection> {
    const { hostname, port } = new URL(url);
    const connection = await Deno.connect({ hostname, port: Number(port) });
    connection.setNoDelay(true);
    return new HttpConnection(connection, `${hostname}:${port}`);
  }

  /** Sends one request and reads the response; throws unless the status is 2xx. */
  async request(
    method: string,
    path: string,
    { type = "application/json", accept = "application/json", body = new Uint8Array() }: {
      type?: string;
      accept?: string;
      body?: Uint8Array;
    } = {},
  ): Promise<Answer> {
    const head = new TextEncoder().encode(
      `${method} ${path} HTTP/1.1\r\nhost: ${this.#host}\r\naccept: ${accept}\r\n` +
        `content-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n`,
    );
    await this.#write(head, body);
    const answer = await this.#read();
    if (answer.status >= 300) {
      throw new Error(`${answer.status} from ${method} ${path}: ${this.#decoder.decode(answer.body)}`);
    }
    return answer;
  }

  close(): void {
    this.#connection.close();
  }

  async #write(head: Uint8Array, body: Uint8Array): Promise<void> {
    const small = body.length <= 65536;
    const parts = small ? [joined(head, body)] : [head, body];
    for (const part of parts) {
      for (let sent = 0; sent < part.length;) sent += await this.#connection.write(part.subarray(sent));
    }
  }

  async #read(): Promise<Answer> {
    let text = "", filled = 0, headEnd = -1;
    while (headEnd < 0) {
      if (filled === this.#buffer.length) throw new Error("Cannot read an answer: its head is too long");
      filled += await this.#fill(this.#buffer.subarray(filled));
      text = this.#decoder.decode(this.#buffer.subarray(0, filled));
      headEnd = text.indexOf("\r\n\r\n");
    }
    const head = text.slice(0, headEnd);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined) throw new Error(`Cannot read an answer without Content-Length: ${head}`);
    const body = new Uint8Array(Number(length));
    const early = this.#buffer.subarray(headEnd + 4, filled);
    body.set(early);
    for (let got = early.length; got < body.length;) got += await this.#fill(body.subarray(got));
    return { status: Number(head.slice(9, 12)), body };
  }

  async #fill(target: Uint8Array): Promise<number> {
    const count = await this.#connection.read(target);
    if (count === null) throw new Error("Cannot read an answer: the server closed the connection");
    return count;
  }
}

function joined(head: Uint8Array, body: Uint8Array): Uint8Array {
  const whole = new Uint8Array(head.length + body.length);
  whole.set(head);
  whole.set(body, head.length);
  return whole;
}
