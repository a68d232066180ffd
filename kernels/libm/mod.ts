/**
 * float32 exp, log, pow and cos with the bits of glibc's expf, logf, powf and cosf, which TensorFlow calls for
 * scalars on a CPU.
 *
 * A rounded float64 `Math.pow` is more accurate but not the same: glibc's results are up to 0.82 ulp off, so about
 * one in 170 of Adam's `beta ^ T` differs. The algorithms are those of Arm's Optimized Routines (Szabolcs Nagy, Wilco
 * Dijkstra; in glibc since 2.28): float64 polynomials and small tables, rounded once. The tables and coefficients are
 * facts of theirs; the code is ours. Where a fused multiply-add changes a result, the code fuses too, because glibc
 * uses its fused versions wherever the processor has them. exp, log and cos were compared on every float32 number.
 * Arguments are float32 numbers. NaN payloads, errno and exception flags are not reproduced.
 */
export { cos } from "./cos.ts";
export { exp } from "./exp.ts";
export { log } from "./log.ts";
export { pow } from "./pow.ts";
