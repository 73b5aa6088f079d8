import fs from "node:fs";
import path from "node:path";

/** What the requests of a load look like. */
export interface RequestShape {
  readonly name: string;
  readonly method: "GET" | "POST";
  readonly path: string;
  /** 0 = no body. */
  readonly bodyBytes: number;
}

/** Callers in turn: the split has something to decide, and a tenth of the requests really goes to v2. */
export const CALLERS = 1_000;

/** Writes a Lua script for wrk that sends such requests, each from the next caller; returns its file. */
export function writeWrkScript(shape: RequestShape, folder: string): string {
  const file = path.join(folder, `${shape.name}.lua`);
  const type = shape.bodyBytes === 0 ? "" : `["content-type"] = "application/octet-stream", `;
  const body =
    shape.bodyBytes === 0 ? "nil" : `string.rep("crossfade ", ${shape.bodyBytes}):sub(1, ${shape.bodyBytes})`;
  fs.writeFileSync(
    file,
    `local requests, turn = {}, 0
init = function()
  local body = ${body}
  for user = 0, ${CALLERS - 1} do
    local fields = { ${type}["x-user-id"] = "user-" .. user }
    requests[user] = wrk.format("${shape.method}", "${shape.path}", fields, body)
  end
end
request = function()
  turn = (turn + 1) % ${CALLERS}
  return requests[turn]
end
`,
  );
  return file;
}
