/** Connections: slow, silent, many, and readers that do not read. */
import type { Bomb, Target } from "./target.ts";

const head = (target: Target, request: string) => `${request} HTTP/1.1\r\nHost: 127.0.0.1:${target.port}\r\n`;
const streams = (target: Target) => `${head(target, "GET /v1/runs/others/events")}\r\n`;
const waits = (target: Target) =>
  `${head(target, "GET /v1/runs/others/variables")}If-None-Match: "v9"\r\nPrefer: wait=60\r\n\r\n`;

export const SOCKET_BOMBS: readonly Bomb[] = [
  {
    name: "64 uploads of one byte",
    throw: async (target) => {
      const length = "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{";
      await target.hold(64, `${head(target, "POST /v1/runs/others/gradients")}${length}`);
      await target.stepsOfOthers(20);
    },
  },
  {
    name: "500 half heads",
    isQuick: true,
    throw: async (target) => {
      await target.hold(500, head(target, "GET /healthz"));
      await target.stepsOfOthers(20);
    },
  },
  {
    name: "600 streams of events that nobody reads",
    throw: async (target) => {
      await target.hold(600, streams(target));
      await target.stepsOfOthers(300);
    },
  },
  {
    name: "600 requests that wait",
    throw: async (target) => {
      await target.hold(600, waits(target));
      await target.stepsOfOthers(50);
    },
  },
  {
    name: "more idle connections than there are descriptors",
    isQuick: true,
    descriptors: 256,
    throw: async (target) => {
      await target.hold(400, "");
      await target.stepsOfOthers(20);
    },
  },
  {
    name: "answers that nobody reads",
    throw: async (target) => {
      await target.create({ id: "wide", variables: [{ name: "w", shape: [5_000_000] }] });
      await target.hold(100, `${head(target, "GET /v1/runs/wide/variables")}\r\n`);
      await target.hold(100, `${head(target, "GET /v1/runs/wide/checkpoint")}\r\n`);
      await target.stepsOfOthers(50);
    },
  },
];
