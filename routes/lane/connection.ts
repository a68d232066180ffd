/**
 * One connection: requests are read, given to the app and answered one after the other, in the order in which they
 * came. It decides when the connection ends.
 *
 * Invariants: a connection always waits for one thing only, under one deadline, unless the app has its turn. However
 * it ends, the request that is being answered is told (`signal`), and its answer's body is finished or cancelled.
 */
import { StepwellError } from "../../src/errors.ts";
import type { DirectCall } from "./direct.ts";
import { type Framing, framingOf } from "./framing.ts";
import { HangUp } from "./hang_up.ts";
import { type Head, type HeadLimits, HeadScan, parseHead } from "./head.ts";
import { Inbox } from "./inbox.ts";
import { IncomingBody } from "./incoming_body.ts";
import { KnownHead, type ReadHead } from "./known_head.ts";
import type { LaneParts } from "./lane_parts.ts";
import { LaneRequest, type Origin } from "./lane_request.ts";
import { Outbox } from "./outbox.ts";
import { asRefusal, refusalOf } from "./refusal.ts";

/** The rest of a body that nobody wants is read up to this length, so that the connection can stay. */
const UNWANTED_BYTES_MAX = 64 << 10;
/** So long, what a client still sends is read and dropped after the last answer: otherwise TCP would destroy it. */
const LINGER_SECONDS = 2;

/** So long, about, a short body may be behind its head. */
const BODY_SECONDS = 0.5;

/** What is waited for, with the seconds that it may take. */
type Wait = "nothing" | "request" | "head" | "body" | "rest" | "taking" | "farewell";

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
  readonly #known = new KnownHead();
  /** Called when a body does not come right behind its head. */
  #onLate = () => {};

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
    const isHead = this.#wait === "head", isBody = this.#wait === "body";
    this.#expect("nothing");
    if (isBody) return this.#onLate();
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
    let read;
    try {
      read = await this.#nextHead();
      if (!read) return false;
    } catch (error) {
      this.#isUnread = true;
      await this.#refuse(asRefusal(error));
      return false;
    }
    if (read.call) {
      const stays = await this.#answerDirectly(read.call, read.framing);
      if (stays !== undefined) return stays;
    }
    this.#expect("nothing");
    return await this.#answer(read.head, read.framing);
  }

  /** The next head; undefined when there is none. Throws malformed_request, head_too_large. */
  async #nextHead(): Promise<ReadHead | undefined> {
    const inbox = this.#inbox, { headBytesMax } = this.#limits;
    let scan: HeadScan | undefined;
    while (!this.#isLast) {
      const { bytes } = inbox;
      const known = scan ? undefined : this.#known.find(bytes);
      if (known) {
        inbox.skip(this.#known.byteLength);
        return known;
      }
      if (bytes.length > 0) scan ??= new HeadScan();
      const end = scan?.end(bytes);
      if ((end ?? bytes.length) > headBytesMax) {
        throw new StepwellError(
          "head_too_large",
          `Cannot read the request: its head has over ${headBytesMax} bytes`,
        );
      }
      if (scan && end !== undefined) {
        const head = parseHead(bytes.subarray(scan.skipped, end), this.#limits), framing = framingOf(head);
        const read = { head, framing, call: this.#parts.direct?.(head, framing) };
        this.#known.keep(bytes.subarray(0, end), read);
        inbox.skip(end);
        return read;
      }
      const wait = bytes.length === 0 ? "request" : "head";
      if (this.#wait !== wait) this.#expect(wait);
      if (!await inbox.fill(headBytesMax + 1)) return undefined;
    }
    return undefined;
  }

  /** Returns whether the connection stays; undefined if the app shall have the request. */
  async #answerDirectly(call: DirectCall, { length = 0, isKept }: Framing): Promise<boolean | undefined> {
    const inbox = this.#inbox;
    // Bodies often come right behind their heads. One that does not is the app's, which knows how long to wait.
    while (inbox.length < length) {
      const late = new Promise<boolean>((resolve) => this.#onLate = () => resolve(false));
      this.#expect("body");
      if (!await Promise.race([inbox.fill(length), late])) return undefined;
    }
    this.#expect("nothing");
    let answer;
    try {
      const answering = call(inbox.bytes.subarray(0, length), this.#parts.socket.remoteAddr as Deno.NetAddr);
      if (!answering) return undefined;
      inbox.skip(length);
      answer = await answering;
    } catch (error) {
      this.#parts.onFailure(error);
      await this.#refuse(asRefusal(undefined));
      return false;
    }
    const options = { isKept: isKept && !this.#isLast, date: this.#parts.wallClock().toUTCString() };
    if (answer instanceof Response) {
      return await this.#outbox.send(answer, { ...options, method: "POST", minor: 1 });
    }
    await this.#outbox.sendWhole(answer, options);
    return options.isKept;
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
      const whole = body.whole();
      const readBody = whole ? undefined : (view: Uint8Array) => body.read(view);
      const request = new LaneRequest({
        head,
        framing,
        body: whole ?? body.stream(),
        readBody,
        hangUp,
        origin,
      });
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
    if (wait === "body") return BODY_SECONDS;
    if (wait === "head") return STEPWELL_HEAD_SECONDS;
    return wait === "rest" || wait === "farewell" ? LINGER_SECONDS : STEPWELL_KEEP_ALIVE_SECONDS;
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = this.#isLast = true;
    this.#parts.socket.close();
  }
}
