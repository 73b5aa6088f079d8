import { readFile } from "node:fs/promises";
import { join } from "node:path";
import stableStringify from "fast-json-stable-stringify";
import { z } from "zod";
import type { StateEventSink } from "../base/state-event.ts";
import { EMPTY_OVERLAY } from "../model/overlay.ts";
import type { Overlay } from "../model/overlay.ts";
import { PPM } from "../model/split.ts";
import { writeFileDurably } from "./atomic-file.ts";
import { openStateFolder } from "./state-folder.ts";

/** Where the overlay is kept between restarts. */
export interface OverlayFile {
  /** False when a restart forgets what was saved. */
  readonly durable: boolean;
  /** The overlay saved last; an empty one when none was. Throws OverlayFileError on a file that cannot be trusted. */
  load(): Promise<Overlay>;
  /** Resolves when the overlay is on disk; rejects with the old one still there. Calls take effect in their order. */
  save(overlay: Overlay): Promise<void>;
}

/** The overlay file exists and cannot be used. A wrong split does not heal by itself, so nothing is guessed. */
export class OverlayFileError extends Error {
  override readonly name = "OverlayFileError";
}

/** Name of the overlay in the state folder. */
export const OVERLAY_FILE_NAME = "overlay.json";

/** The overlay file of a state folder, or one in memory when there is no folder. */
export function openOverlayFile(stateDir: string | null, onEvent: StateEventSink): OverlayFile {
  return stateDir === null ? memoryOverlayFile(onEvent) : diskOverlayFile(stateDir);
}

/** Keeps the overlay in memory, and says so once. */
export function memoryOverlayFile(onEvent: StateEventSink): OverlayFile {
  let kept = EMPTY_OVERLAY;
  return {
    durable: false,
    async load() {
      onEvent({
        level: "warn",
        name: "overlay-in-memory",
        message: "no state folder was configured: changes made at run time will not outlive a restart",
        fields: { setting: "runtime.stateDir" },
      });
      return kept;
    },
    async save(overlay) {
      kept = overlay;
    },
  };
}

/** Keeps the overlay in `overlay.json` of the state folder, which is made on load. */
export function diskOverlayFile(stateDir: string): OverlayFile {
  const path = join(stateDir, OVERLAY_FILE_NAME);
  let lastSave: Promise<void> = Promise.resolve();
  return {
    durable: true,
    async load() {
      await openStateFolder(stateDir);
      return readOverlay(path);
    },
    save(overlay) {
      const write = () => writeFileDurably(path, `${stableStringify(overlay)}\n`);
      const saved = lastSave.then(write, write);
      lastSave = saved;
      return saved;
    },
  };
}

async function readOverlay(path: string): Promise<Overlay> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return EMPTY_OVERLAY;
    throw untrusted(path, "cannot be read", cause);
  }
  return overlayFromText(path, text);
}

function overlayFromText(path: string, text: string): Overlay {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw untrusted(path, `is not JSON (${text.length} characters)`, cause);
  }
  const version = z.object({ version: z.unknown() }).safeParse(json);
  if (version.success && version.data.version !== undefined && version.data.version !== 1) {
    throw untrusted(
      path,
      `has version ${JSON.stringify(version.data.version)}, but only version 1 is understood`,
      null,
    );
  }
  const checked = OVERLAY_SHAPE.safeParse(json);
  if (!checked.success) throw untrusted(path, `has another shape: ${issuesOf(checked.error)}`, checked.error);
  return checked.data;
}

function issuesOf(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ");
}

function untrusted(path: string, why: string, cause: unknown): OverlayFileError {
  return new OverlayFileError(
    `overlay file "${path}" ${why}. It holds the splits, rollbacks and kills that people made at run time, and without ` +
      `it callers may be sent to a candidate that was taken back. Restore the file, or delete it to start from the ` +
      `config file alone`,
    { cause },
  );
}

const KILL_SHAPE = z.strictObject({ actor: z.string(), reason: z.string(), atMs: z.number() });

const ROUTE_SHAPE = z.strictObject({
  split: z
    .strictObject({
      candidatePpm: z.int().min(0).max(PPM),
      basedOn: z.string(),
      cause: z.enum(["split", "rollback"]),
      actor: z.string(),
      reason: z.string(),
      atMs: z.number(),
    })
    .nullable(),
  killed: KILL_SHAPE.nullable(),
});

const OVERLAY_SHAPE = z.strictObject({
  version: z.literal(1),
  killed: KILL_SHAPE.nullable(),
  routes: z.record(z.string(), ROUTE_SHAPE),
});
