/**
 * Requests that ask for much, one kind after the other, each thrown at a service of its own while another client asks
 * for /healthz: it waits for no more than two turns of the event loop and what its own request takes, and the
 * service's memory stays within its bound and a fixed allowance.
 *
 * Ordinary test runs have the quick ones; `deno task test:bombs` throws all, with --only=TEXT those whose name has it.
 */
import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { startProcess } from "../support/service.ts";
import { BOMBS } from "./support/bombs.ts";
import { Target } from "./support/target.ts";
import { Watcher } from "./support/watcher.ts";

/** Two turns of 100 ms, and what is left for the request itself, on an idle machine. */
const WAIT_MS_MAX = 250;
/** How long a step may be, by the setting of these services. */
const STEP_SECONDS_MAX = 1;
const MIB = 1024 ** 2;
const MEMORY_BYTES_MAX = 1024 * MIB, ALLOWANCE_BYTES = 512 * MIB;

const { values } = parseArgs({
  args: Deno.args,
  options: { all: { type: "boolean", default: false }, only: { type: "string", default: "" } },
  allowPositionals: true,
});
const isChosen = ({ name, isQuick }: typeof BOMBS[number]) =>
  (isQuick || values.all) && name.includes(values.only);

for (const bomb of BOMBS.filter(isChosen)) {
  Deno.test(`others are answered, and memory stays in its bounds: ${bomb.name}`, async () => {
    const settings = {
      STEPWELL_LOG: "errors",
      STEPWELL_STEP_SECONDS_MAX: `${STEP_SECONDS_MAX}`,
      STEPWELL_MEMORY_BYTES_MAX: `${MEMORY_BYTES_MAX}`,
      ...bomb.settings,
    };
    await using service = await startProcess(settings, bomb.descriptors);
    const { port, process: { pid } } = service;
    using target = new Target(service);
    await target.create({ id: "others", variables: [{ name: "w", shape: [2] }] });
    await target.stepsOfOthers(1);
    using watcher = new Watcher({ port, pid });
    await watcher.isAsking;
    await bomb.throw(target);
    const { worst, longest, answers, lost, slowness } = await watcher.stop();
    const peakBytes = watcher.peakBytes ?? 0;
    const figures = `${answers} answers, ${Math.round(worst)} ms of work in the worst wait, ` +
      `the longest took ${Math.round(longest)} ms, the machine is ${
        slowness.toFixed(2)
      } times as slow as at its best, peak ${Math.round(peakBytes / MIB)} MiB`;
    if (values.all) console.log(`${bomb.name}: ${figures}`);
    await target.stepsOfOthers(1);
    assert.ok(answers > 0 && lost === 0, figures);
    const waitMsMax = WAIT_MS_MAX + (bomb.hasLongSteps ? 1000 * STEP_SECONDS_MAX : 0);
    assert.ok(worst <= waitMsMax * slowness, figures);
    assert.ok(peakBytes <= MEMORY_BYTES_MAX + ALLOWANCE_BYTES, figures);
    const { code, errors } = await service.stop();
    assert.equal(code, 0, errors);
    assert.doesNotMatch(errors, /"level":"error"|error:/, errors.slice(0, 2000));
  });
}
