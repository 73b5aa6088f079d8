import { HISTOGRAM_BUCKETS, HISTOGRAM_SUM } from "../base/cells.ts";
import { emptyHistogram } from "../telemetry/resilience-reports.ts";
import type { HealthReport, HistogramWords } from "../telemetry/resilience-reports.ts";
import type { HealthReading } from "./health-record.ts";

/** The prober's readings as metrics and the admin API show them. */
export function healthReports(readings: readonly HealthReading[]): readonly HealthReport[] {
  return readings.map((reading) => {
    const { upstream, endpoint, live, health, sinceMs, lastReason, lastDetail, passes, failures } = reading;
    const failed = Object.values(failures).reduce((sum, count) => sum + count, 0);
    const reason = lastDetail === null || lastDetail === "" ? lastReason : `${lastReason}: ${lastDetail}`;
    return {
      upstream,
      endpoint,
      now: live ? { health, sinceWallMs: sinceMs, reason } : null,
      checks: passes + failed,
      failures,
      durations: wordsOf(reading),
    };
  });
}

function wordsOf({ durations, durationSumS }: HealthReading): HistogramWords {
  const words = emptyHistogram();
  words[HISTOGRAM_SUM] = durationSumS;
  words.set(durations, HISTOGRAM_BUCKETS);
  return words;
}
