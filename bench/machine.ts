import os from "node:os";

/** What a benchmark ran on: enough to judge its numbers. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  /** Of the last minute. */
  readonly loadAverage: number;
}

/** This machine, now. */
export function machineNow(): Machine {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? "unknown",
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    kernel: `${os.type()} ${os.release()}`,
    node: process.version,
    loadAverage: os.loadavg()[0] ?? 0,
  };
}

/** A machine in one line. */
export function machineLine({ cpu, cores, memoryBytes, kernel, node }: Machine): string {
  return `${cpu}, ${cores} cores, ${(memoryBytes / 2 ** 30).toFixed(0)} GiB, ${kernel}, Node ${node}`;
}
