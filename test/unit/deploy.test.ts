import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { MIN_TOKEN_LENGTH } from "../../src/admin/token.ts";
import { compile } from "../../src/config/compile.ts";
import type { Config } from "../../src/config/config.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { EMPTY_OVERLAY } from "../../src/model/overlay.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const FOLDER = join(ROOT, "deploy/kubernetes");
const CONFIG_KEY = "crossfade.yaml";

/** A value out of a manifest; the assertions are its types. */
// eslint-disable-next-line typescript/no-explicit-any -- manifests have the shapes of another project
type Manifest = any;

const manifests = new Map<string, Manifest[]>();
for (const file of readdirSync(FOLDER).filter((name) => name.endsWith(".yaml"))) {
  const documents = parseAllDocuments(readFileSync(join(FOLDER, file), "utf8"));
  manifests.set(
    file,
    documents.map((document) => {
      if (document.errors[0] !== undefined) throw document.errors[0];
      return document.toJS();
    }),
  );
}
const all = [...manifests.values()].flat();

function only(kind: string): Manifest {
  const found = all.filter((manifest) => manifest.kind === kind);
  assert.equal(found.length, 1, `one ${kind}`);
  return found[0];
}

function named(list: readonly Manifest[], name: string): Manifest {
  const found = list.find((entry) => entry.name === name);
  assert.ok(found !== undefined, `${name} is not among ${list.map((entry) => entry.name).join(", ")}`);
  return found;
}

const deployment = only("Deployment");
const pod = deployment.spec.template;
const sidecar = named(pod.spec.initContainers, "crossfade");
const v1 = named(pod.spec.containers, "v1");

function embeddedConfig(): Config {
  const parsed = parseConfig(only("ConfigMap").data[CONFIG_KEY], { format: "yaml", env: {} });
  assert.ok(parsed.ok, parsed.ok ? "" : JSON.stringify(parsed.problems));
  assert.deepEqual(parsed.warnings, []);
  return parsed.config;
}

const config = embeddedConfig();
const dockerfile = readFileSync(join(ROOT, "deploy/Dockerfile"), "utf8");
const packageJson = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  readonly version: string;
  readonly engines: { readonly node: string };
  readonly devDependencies: { readonly node: string };
};

/** What follows an instruction in the Dockerfile, in order; continued lines as one. */
function instructions(name: string): readonly string[] {
  const lines = dockerfile.replaceAll(/\\\n/g, " ").split("\n");
  return lines.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1).trim());
}

test("the config in the ConfigMap compiles", () => {
  const compiled = compile(config, EMPTY_OVERLAY, new Map());
  assert.ok(compiled.ok, compiled.ok ? "" : JSON.stringify(compiled.problems));
});

test("Crossfade is a native sidecar", () => {
  assert.equal(sidecar.restartPolicy, "Always");
  assert.ok(sidecar.startupProbe !== undefined, "v1 waits for it");
});

test("the config is mounted as a directory, where the image looks for it", () => {
  const volume = pod.spec.volumes.find((entry: Manifest) => entry.configMap?.name === only("ConfigMap").metadata.name);
  const mount = named(sidecar.volumeMounts, volume.name);
  assert.equal(mount.subPath, undefined, "a subPath does not follow changes");
  assert.deepEqual(JSON.parse(instructions("CMD")[0] ?? ""), ["run", "--config", join(mount.mountPath, CONFIG_KEY)]);
});

test("the state folder is a volume that the sidecar may write", () => {
  const mount = sidecar.volumeMounts.find((entry: Manifest) => entry.mountPath === config.runtime.stateDir);
  assert.ok(mount !== undefined && mount.readOnly !== true);
  assert.ok(named(pod.spec.volumes, mount.name).emptyDir !== undefined);
});

test("the admin API stays inside of the pod and takes its token from a file of a Secret", () => {
  assert.equal(config.admin?.host, "127.0.0.1");
  const volume = pod.spec.volumes.find((entry: Manifest) => entry.secret?.secretName === only("Secret").metadata.name);
  const mount = named(sidecar.volumeMounts, volume.name);
  const [key] = Object.keys(only("Secret").stringData);
  assert.equal(config.admin?.tokenFile, join(mount.mountPath, key ?? ""));
  assert.equal(named(sidecar.env, "CROSSFADE_ADMIN_TOKEN_FILE").value, config.admin?.tokenFile, "for crossfade ctl");
});

test("a token that nobody replaced is refused at the start", () => {
  const { token } = only("Secret").stringData;
  assert.ok(token.length < MIN_TOKEN_LENGTH);
});

test("all ports agree", () => {
  const http = named(sidecar.ports, "cf-http");
  const metrics = named(sidecar.ports, "cf-metrics");
  assert.deepEqual(
    [config.listeners.map(({ port }) => port), config.metrics?.port],
    [[http.containerPort], metrics.containerPort],
  );
  assert.equal(only("Service").spec.ports[0].targetPort, http.name);
  const annotations = pod.metadata.annotations;
  assert.equal(annotations["prometheus.io/port"], String(metrics.containerPort));
  assert.deepEqual([annotations["prometheus.io/scrape"], annotations["prometheus.io/path"]], ["true", "/metrics"]);
  assert.deepEqual(
    only("PodMonitor").spec.podMetricsEndpoints.map(({ port, path }: Manifest) => [port, path]),
    [[metrics.name, "/metrics"]],
  );
  assert.deepEqual(instructions("EXPOSE")[0]?.split(" "), [`${http.containerPort}`, `${metrics.containerPort}`]);
  const upstream = config.upstreams.find(({ name }) => name === "v1")?.endpoints[0];
  assert.deepEqual([upstream?.host, upstream?.port], ["127.0.0.1", v1.ports[0].containerPort]);
});

test("the kubelet asks the metrics address, which it can reach, whether the sidecar is alive and ready", () => {
  const probes = { startupProbe: "/readyz", readinessProbe: "/readyz", livenessProbe: "/livez" };
  for (const [probe, path] of Object.entries(probes)) {
    assert.deepEqual(sidecar[probe].httpGet, { path, port: "cf-metrics" }, probe);
  }
  assert.equal(config.metrics?.host, "0.0.0.0");
});

test("v1 outlives the drain, and the grace period outlives both", () => {
  const { lameDuckMs, deadlineMs } = config.runtime.drain;
  const graceMs = pod.spec.terminationGracePeriodSeconds * 1000;
  const v1StopsMs = v1.lifecycle.preStop.sleep.seconds * 1000;
  assert.ok(lameDuckMs > 0 && lameDuckMs < deadlineMs);
  assert.ok(v1StopsMs > deadlineMs, "the kubelet ends v1 first: its hook must hold it back");
  assert.ok(graceMs >= v1StopsMs + 10_000, "and v1 has time to end");
  assert.ok(graceMs >= deadlineMs + 10_000);
  assert.deepEqual(sidecar.lifecycle.preStop.exec.command, ["/bin/sh", "-c", "kill -TERM 1"]);
});

test("the sidecar runs with the least rights", () => {
  const { securityContext } = sidecar;
  assert.equal(securityContext.runAsNonRoot, true);
  assert.equal(securityContext.readOnlyRootFilesystem, true);
  assert.equal(securityContext.allowPrivilegeEscalation, false);
  assert.deepEqual(securityContext.capabilities, { drop: ["ALL"] });
  assert.equal(pod.spec.securityContext.seccompProfile.type, "RuntimeDefault");
  assert.equal(pod.spec.automountServiceAccountToken, false);
  assert.equal(`${securityContext.runAsUser}:${securityContext.runAsGroup}`, instructions("USER")[0]);
  assert.ok(sidecar.resources.requests.memory !== undefined && sidecar.resources.limits.memory !== undefined);
});

test("every manifest is in the kustomization, but for the one that needs an operator", () => {
  const listed = only("Kustomization").resources as readonly string[];
  const files = [...manifests.keys()].filter((file) => file !== "kustomization.yaml" && file !== "pod-monitor.yaml");
  assert.deepEqual(listed.toSorted(), files.toSorted());
});

test("everything that selects the pod selects it by the labels that it has", () => {
  const { labels } = pod.metadata;
  for (const selector of [
    only("Service").spec.selector,
    deployment.spec.selector.matchLabels,
    only("PodMonitor").spec.selector.matchLabels,
  ]) {
    for (const [name, value] of Object.entries(selector)) assert.equal(labels[name], value, name);
  }
});

test("the image is built on the Node that the repository pins", () => {
  const [argument] = instructions("ARG");
  const [, image = "", major = ""] = /^NODE_IMAGE=((?:node):(\d+)[\w.-]*-slim)$/.exec(argument ?? "") ?? [];
  assert.notEqual(image, "", `${argument} is not a slim node image without a registry's name`);
  assert.equal(major, packageJson.devDependencies.node.split(".")[0]);
  assert.ok(Number(major) > Number(/\d+/.exec(packageJson.engines.node)?.[0]));
  for (const from of instructions("FROM")) assert.match(from, /^\$\{NODE_IMAGE\}( AS build)?$/);
});

test("the image ends by SIGTERM and leaves health to the kubelet", () => {
  assert.deepEqual(instructions("STOPSIGNAL"), ["SIGTERM"]);
  assert.deepEqual(instructions("HEALTHCHECK"), []);
  assert.match(instructions("USER")[0] ?? "", /^[1-9]\d*:[1-9]\d*$/, "a number, which runAsNonRoot can judge");
});

test("the manifests run the image of this version", () => {
  assert.equal(sidecar.image, `crossfade:${packageJson.version}`);
  assert.equal(only("Kustomization").images[0].newTag, packageJson.version);
});

test("the build context holds everything that the Dockerfile copies, and nothing else", () => {
  const context = readFileSync(join(ROOT, ".dockerignore"), "utf8").split("\n");
  const allowed = context.filter((line) => line.startsWith("!")).map((line) => line.slice(1));
  assert.ok(context.includes("*"));
  const copied = instructions("COPY")
    .filter((line) => !line.startsWith("--from"))
    .flatMap((line) => line.split(" ").slice(0, -1));
  assert.deepEqual([...new Set(copied)].toSorted(), allowed.toSorted());
  for (const path of allowed) assert.ok(existsSync(join(ROOT, path)), path);
  assert.equal(dirname(allowed[0] ?? ""), ".");
});
