/** Targets for the tests of decoders: they accept and record everything. */

import type {
  ByteSink,
  PackedSinks,
  PackedTensor,
  Shape,
  TensorTarget,
  WireDtype,
} from "../../../src/tensor.ts";

export class RecordingSink implements ByteSink {
  readonly bytes: number[] = [];
  closeCount = 0;

  write(bytes: Uint8Array): void {
    if (this.closeCount > 0) throw new Error("write after close");
    for (const byte of bytes) this.bytes.push(byte);
  }

  close(): void {
    this.closeCount++;
  }

  /** The bytes as float32 values. */
  get floats(): number[] {
    return [...new Float32Array(Uint8Array.from(this.bytes).buffer)];
  }

  get int32s(): number[] {
    return [...new Int32Array(Uint8Array.from(this.bytes).buffer)];
  }
}

export interface Recorded {
  readonly dtype: WireDtype;
  readonly shape: Shape;
  readonly sink: RecordingSink;
}

/** A tensor in a compact form, with a sink for each of its parts. */
export interface RecordedPacked {
  readonly tensor: PackedTensor;
  readonly sinks: {
    readonly values: RecordingSink;
    readonly scale?: RecordingSink;
    readonly indices?: RecordingSink;
  };
}

/** Records the order of calls in `calls` and their content in the maps. */
export class RecordingTarget implements TensorTarget {
  readonly calls: string[] = [];
  readonly denses = new Map<string, Recorded>();
  readonly sparses = new Map<string, { indices: Recorded; values: Recorded }>();
  readonly packeds = new Map<string, RecordedPacked>();

  dense(name: string, { dtype, shape }: { dtype: WireDtype; shape: Shape }): ByteSink {
    this.calls.push(`dense ${name}`);
    const sink = new RecordingSink();
    this.denses.set(name, { dtype, shape, sink });
    return sink;
  }

  sparse(
    name: string,
    indices: { dtype: WireDtype; shape: Shape },
    values: { dtype: WireDtype; shape: Shape },
  ): { indices: ByteSink; values: ByteSink } {
    this.calls.push(`sparse ${name}`);
    const sinks = { indices: new RecordingSink(), values: new RecordingSink() };
    this.sparses.set(name, {
      indices: { dtype: indices.dtype, shape: indices.shape, sink: sinks.indices },
      values: { dtype: values.dtype, shape: values.shape, sink: sinks.values },
    });
    return sinks;
  }

  packed(name: string, tensor: PackedTensor): PackedSinks {
    this.calls.push(`packed ${name}`);
    const sinks = {
      values: new RecordingSink(),
      ...(tensor.scale && { scale: new RecordingSink() }),
      ...(tensor.indices && { indices: new RecordingSink() }),
    };
    this.packeds.set(name, { tensor, sinks });
    return sinks;
  }

  none(name: string): void {
    this.calls.push(`none ${name}`);
  }
}
