/** The small answer of every upstream, about 100 bytes of JSON. */
export const SMALL_ANSWER = JSON.stringify({
  id: 4711,
  name: "a small answer",
  tags: ["bench", "fixed"],
  items: [1, 2, 3, 4, 5, 6],
  ok: true,
});

/** Where the large answer is, at the upstreams of the comparison. */
export const LARGE_PATH = "/large";

/** Its length. */
export const LARGE_BYTES = 1 << 20;
