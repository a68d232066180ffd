/** CPU time and memory of a process, read from /proc. Works only on Linux. */

/** Clock ticks per second in /proc/PID/stat, a constant of Linux's interface. */
const TICKS_PER_SECOND = 100;

/** Microseconds of user and system time of all threads, in steps of 10 ms. */
export function cpuUs(pid: number): number {
  return usedUs(`/proc/${pid}/stat`);
}

/** Like {@link cpuUs}, but for the process's first thread alone: JavaScript and HTTP, without workers. */
export function mainThreadUs(pid: number): number {
  return usedUs(`/proc/${pid}/task/${pid}/stat`);
}

function usedUs(path: string): number {
  const stat = Deno.readTextFileSync(path);
  // The name in parentheses may hold spaces; utime and stime are the 12th and 13th fields after it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_SECOND;
}

/** The name of the processor: ratios differ between processors. */
export function cpuName(): string {
  return /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1]?.trim() ??
    Deno.build.arch;
}

/** The process's resident memory in bytes. */
export function residentBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? NaN) * 1024;
}
