/** What a process has used so far, as Linux tells in /proc. Not available elsewhere. */

/** Clock ticks a second in /proc/PID/stat: a constant of Linux' interface. */
const TICKS_PER_SECOND = 100;

/** Microseconds of user and system time, all threads together; it moves in steps of 10 ms. */
export function cpuUs(pid: number): number {
  return usedUs(`/proc/${pid}/stat`);
}

/** As {@link cpuUs}, of the process's first thread alone: JavaScript and HTTP, without workers. */
export function mainThreadUs(pid: number): number {
  return usedUs(`/proc/${pid}/task/${pid}/stat`);
}

function usedUs(path: string): number {
  const stat = Deno.readTextFileSync(path);
  // The name in parentheses may hold spaces; utime and stime are the 12th and 13th fields after it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_SECOND;
}

/** Bytes that the process holds in memory now. */
export function residentBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? NaN) * 1024;
}
