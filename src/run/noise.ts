export function gaussianNoise(
  _: { seed: number; stddev: number; iteration: number; variable: number },
  __: Float32Array,
): void {}
