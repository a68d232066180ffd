/**
 * One connection: requests are read, given to the app and answered one after the other, in the order in which they
 * came. It decides when the connection ends.
 *
 * Invariants: a connection always waits for one thing only, under one deadline, unless the app has its turn. However
 * it ends, the request that is being answered is told (`signal`), and its answer's body is finished or cancelled.
 */
import { StepwellError } from "../../src/errors.ts";
import { type Framing, framingOf } from "./framing.ts";
import { HangUp } from "./hang_up.ts";
import { type Head, type HeadLimits, HeadScan, parseHead } from "./head.ts";
import { Inbox } from "./inbox.ts";
import { IncomingBody } from "./incoming_body.ts";
import type { LaneParts } from "./lane_parts.ts";
import { LaneRequest, type Origin } from "./lane_request.ts";
import { Outbox } from "./outbox.ts";
import { asRefusal, refusalOf } from "./refusal.ts";

/** The rest of a body that nobody wants is read up to this length, so that the connection can stay. */
const UNWANTED_BYTES_MAX = 64 << 10;
/** So long, what a client still sends is read and dropped after the last answer: otherwise TCP would destroy it. */
const LINGER_SECONDS = 2;

/** What is waited for, with the seconds that it may take. */
type Wait = "nothing" | "request" | "head" | "rest" | "taking" | "farewell";

export interface ConnectionParts extends LaneParts {
  readonly socket: Deno.Conn;
  readonly origin: Origin;
}

export class Connection {
  readonly #parts: ConnectionParts;
  readonly #limits: HeadLimits;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  #wait: Wait = "nothing";
  /** Seconds that the wait may still take. */
  #secondsLeft = Infinity;
  /** Whether no further request is taken. */
  #isLast = false;
  /** Whether the client may still be sending something that nobody will read. */
  #isUnread = false;
  #isClosed = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    const { STEPWELL_HEAD_BYTES_MAX: headBytesMax, STEPWELL_HEADERS_MAX: headersMax } = parts.settings;
    this.#limits = { headBytesMax, headersMax };
    this.#inbox = new Inbox(parts.socket);
    this.#outbox = new Outbox(parts.socket, (isWaiting) => this.#expect(isWaiting ? "taking" : "nothing"));
  }

  /** Serves requests until the connection ends. Never throws. */
  async serve(): Promise<void> {
    try {
      while (await this.#serveOne());
      if (this.#isUnread) await this.#farewell();
    } catch (error) {
      // A client that is gone is no failure.
      const isGone = this.#isClosed || this.#inbox.broken !== undefined || this.#outbox.isBroken;
      if (!isGone) this.#parts.onFailure(error);
    } finally {
      this.#close();
    }
  }

  /** To be called as time goes by: ends what takes too long. */
  tick(seconds: number): void {
    this.#secondsLeft -= seconds;
    if (this.#secondsLeft > 0) return;
    const isHead = this.#wait === "head";
    this.#expect("nothing");
    if (!isHead) return this.#close();
    this.#isLast = true;
    const { STEPWELL_HEAD_SECONDS: secondsMax } = this.#parts.settings;
    const problem = `Cannot wait for the rest of the head: it must come within ${secondsMax} s`;
    this.#refuse(new StepwellError("head_timeout", problem)).catch(() => {}).finally(() => this.#close());
  }

  /** Ends the connection, after the request that is being answered if there is one. */
  end(): void {
    this.#isLast = true;
    if (this.#wait === "request" || this.#wait === "head" || this.#wait === "farewell") this.#close();
  }

  /** Returns whether the connection stays. */
  async #serveOne(): Promise<boolean> {
    let head, framing;
    try {
      head = await this.#nextHead();
      if (!head) return false;
      framing = framingOf(head);
    } catch (error) {
      this.#isUnread = true;
      await this.#refuse(asRefusal(error));
      return false;
    }
    this.#expect("nothing");
    return await this.#answer(head, framing);
  }

  /** The next head; undefined when there is none. Throws malformed_request, head_too_large. */
  async #nextHead(): Promise<Head | undefined> {
    const inbox = this.#inbox, { headBytesMax } = this.#limits;
    const scan = new HeadScan();
    while (!this.#isLast) {
      const { bytes } = inbox, end = bytes.length === 0 ? undefined : scan.end(bytes);
      if ((end ?? bytes.length) > headBytesMax) {
        throw new StepwellError(
          "head_too_large",
          `Cannot read the request: its head has over ${headBytesMax} bytes`,
        );
      }
      if (end !== undefined) {
        const head = parseHead(bytes.subarray(scan.skipped, end), this.#limits);
        inbox.skip(end);
        return head;
      }
      const wait = bytes.length === 0 ? "request" : "head";
      if (this.#wait !== wait) this.#expect(wait);
      if (!await inbox.fill(headBytesMax + 1)) return undefined;
    }
    return undefined;
  }

  async #answer(head: Head, framing: Framing): Promise<boolean> {
    const inbox = this.#inbox, { handler, socket, origin, wallClock } = this.#parts;
    const hangUp = new HangUp();
    let isContinued = !framing.isAwaiting;
    const body = new IncomingBody({
      inbox,
      length: framing.length,
      limits: this.#limits,
      onWanted: () => {
        if (!isContinued) this.#outbox.continue().catch(() => {});
        isContinued = true;
      },
      // Only now: what comes next is not of this body.
      onDone: () => void inbox.watch().then((goesOn) => goesOn || hangUp.abort()),
    });
    let response: Response | undefined;
    try {
      const request = new LaneRequest({ head, framing, body: body.whole() ?? body.stream(), hangUp, origin });
      try {
        response = await handler(request, { remoteAddr: socket.remoteAddr as Deno.NetAddr });
      } catch (error) {
        this.#parts.onFailure(error);
        this.#isUnread = true;
        await this.#refuse(asRefusal(undefined));
        return false;
      }
      // A client that waits for `100 Continue` may send the body after this answer, or not.
      const isReadable = body.isDone || (isContinued && body.left <= UNWANTED_BYTES_MAX);
      const isEnded = response.headers.get("connection")?.toLowerCase() === "close";
      this.#isUnread = !body.isDone && (!isReadable || isEnded || !framing.isKept || this.#isLast);
      const stays = await this.#outbox.send(response, {
        method: head.method,
        minor: head.minor,
        isKept: framing.isKept && isReadable && !isEnded && !this.#isLast &&
          !(inbox.isOver && inbox.length === 0),
        date: wallClock().toUTCString(),
      });
      if (stays && !body.isDone) await this.#drop(body);
      return stays;
    } catch (error) {
      hangUp.abort();
      if (response?.body?.locked === false) await response.body.cancel().catch(() => {});
      throw error;
    }
  }

  /** Reads what is left of a body that nobody wanted. */
  async #drop(body: IncomingBody): Promise<void> {
    const scratch = new Uint8Array(4096);
    this.#expect("rest");
    try {
      while (await body.read(scratch) > 0);
    } catch {
      // Its framing is broken, or it was cut off.
      this.#isLast = this.#isUnread = true;
    }
  }

  async #refuse(error: StepwellError): Promise<void> {
    const { newId, wallClock, log, metrics, settings } = this.#parts;
    const requestId = newId();
    const response = refusalOf(error, requestId);
    const { status } = response;
    const label = { method: "other", route: "", status };
    metrics.request(label, {
      seconds: 0,
      bytesIn: 0,
      bytesOut: Number(response.headers.get("Content-Length")),
    });
    if (settings.STEPWELL_LOG === "requests") {
      log({ level: "info", request_id: requestId, ...label, code: error.code, error: error.message });
    }
    await this.#outbox.send(response, {
      method: "",
      minor: 1,
      isKept: false,
      date: wallClock().toUTCString(),
    });
  }

  /** Lets the client read the last answer: closing at once would destroy it while the client still sends. */
  async #farewell(): Promise<void> {
    this.#expect("farewell");
    await this.#parts.socket.closeWrite();
    while (await this.#inbox.fill(0)) this.#inbox.skip(this.#inbox.length);
  }

  #expect(wait: Wait): void {
    if (this.#isClosed) return;
    this.#wait = wait;
    this.#secondsLeft = this.#secondsOf(wait);
  }

  #secondsOf(wait: Wait): number {
    const { STEPWELL_HEAD_SECONDS, STEPWELL_KEEP_ALIVE_SECONDS } = this.#parts.settings;
    if (wait === "nothing") return Infinity;
    if (wait === "head") return STEPWELL_HEAD_SECONDS;
    return wait === "rest" || wait === "farewell" ? LINGER_SECONDS : STEPWELL_KEEP_ALIVE_SECONDS;
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = this.#isLast = true;
    this.#parts.socket.close();
  }
}
