/** Writes .oxlintrc.json: fixed rules, and the layer rules made from scripts/layers.ts. */
import { writeFileSync } from "node:fs";
import { layerOverrides } from "./layers.ts";

const config = {
  $schema: "./node_modules/oxlint/configuration_schema.json",
  plugins: ["typescript", "import", "oxc", "unicorn", "promise", "node"],
  categories: { correctness: "error", suspicious: "error" },
  env: { node: true, es2024: true },
  ignorePatterns: ["dist", "coverage", "node_modules", "test/fixtures"],
  rules: {
    "import/no-cycle": ["error", { ignoreTypes: false }],
    "import/no-default-export": "error",
    "oxc/no-barrel-file": ["error", { threshold: 0 }],
    "typescript/no-floating-promises": "error",
    "typescript/no-misused-promises": "error",
    "typescript/switch-exhaustiveness-check": "error",
    "typescript/consistent-type-imports": "error",
    "typescript/no-explicit-any": "error",
    "typescript/no-non-null-assertion": "error",
    "typescript/no-unsafe-type-assertion": "off",
    "typescript/no-unnecessary-type-assertion": "error",
    "typescript/consistent-return": "off",
    "no-else-return": "error",
    "no-var": "error",
    "prefer-const": "error",
    eqeqeq: "error",
    "no-shadow": "off",
    "no-underscore-dangle": "off",
    "no-await-in-loop": "off",
    "unicorn/no-array-sort": "off",
    "unicorn/consistent-function-scoping": "off",
    "import/no-unassigned-import": "off",
    "import/no-named-as-default-member": "off",
    "promise/always-return": "off",
    "unicorn/require-post-message-target-origin": "off",
    "no-new": "off",
    "max-lines": ["error", { max: 300, skipBlankLines: true, skipComments: true }],
  },
  overrides: [
    ...layerOverrides(),
    {
      files: ["test/**", "bench/**", "scripts/**"],
      rules: {
        "max-lines": "off",
        "typescript/no-floating-promises": "off",
        "typescript/unbound-method": "off",
        "typescript/no-misused-spread": "off",
        "typescript/require-array-sort-compare": "off",
      },
    },
  ],
};

writeFileSync(new URL("../.oxlintrc.json", import.meta.url), `${JSON.stringify(config, null, 2)}\n`);
