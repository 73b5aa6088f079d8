import vm from "node:vm";
import { changed } from "./until.ts";

/** An element of a page that has no browser: as much of the DOM as the dashboard's script uses. */
export class FakeElement {
  readonly tag: string;
  readonly style: Record<string, string> = {};
  readonly attributes = new Map<string, string>();
  readonly listeners = new Map<string, ((event: object) => void)[]>();
  children: FakeElement[] = [];
  parent: FakeElement | null = null;
  hidden = false;
  disabled = false;
  isOpen = false;
  className = "";
  value = "";
  returnValue = "";
  onclose: (() => void) | null = null;
  #text = "";

  constructor(tag: string) {
    this.tag = tag;
  }

  get textContent(): string {
    return this.#text + this.children.map((child) => child.textContent).join(" ");
  }

  set textContent(text: string) {
    this.children = [];
    this.#text = text;
  }

  get childElementCount(): number {
    return this.children.length;
  }

  get lastChild(): FakeElement | undefined {
    return this.children.at(-1);
  }

  get classList(): { toggle(name: string, on: boolean): void } {
    const names = new Set(this.className.split(" ").filter((name) => name !== ""));
    const set = (name: string, on: boolean): void => {
      if (on) names.add(name);
      else names.delete(name);
      this.className = [...names].join(" ");
    };
    return { toggle: set };
  }

  append(...parts: readonly (FakeElement | string)[]): void {
    this.children.push(...parts.map((part) => this.#adopt(part)));
  }

  prepend(...parts: readonly (FakeElement | string)[]): void {
    this.children.unshift(...parts.map((part) => this.#adopt(part)));
  }

  replaceChildren(...parts: readonly (FakeElement | string)[]): void {
    this.children = parts.map((part) => this.#adopt(part));
  }

  remove(): void {
    if (this.parent !== null) this.parent.children = this.parent.children.filter((child) => child !== this);
  }

  setAttribute(name: string, value: string): void {
    this.attributes.set(name, value);
  }

  addEventListener(name: string, listener: (event: object) => void): void {
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), listener]);
  }

  showModal(): void {
    this.isOpen = true;
    changed();
  }

  /** What a person does. */
  fire(name: string): void {
    for (const listener of this.listeners.get(name) ?? []) listener({ preventDefault: () => {} });
  }

  /** A dialog is left with this button. */
  leave(returnValue: string): void {
    this.isOpen = false;
    this.returnValue = returnValue;
    this.onclose?.();
    this.fire("close");
  }

  /** The first element below that fits. */
  find(fits: (element: FakeElement) => boolean): FakeElement | null {
    for (const child of this.children) {
      const found = fits(child) ? child : child.find(fits);
      if (found !== null) return found;
    }
    return null;
  }

  #adopt(part: FakeElement | string): FakeElement {
    const element = typeof part === "string" ? Object.assign(new FakeElement("#text"), { textContent: part }) : part;
    element.parent = this;
    return element;
  }
}

/** A page without a browser on which a script runs. */
export interface FakePage {
  byId(id: string): FakeElement;
  /** Lets the script's timers fire once. */
  tick(): void;
  readonly stored: Map<string, string>;
}

/** Runs `script` on the elements with ids of `html`; its requests go to `fetch`. */
export function runOnFakePage(html: string, script: string, fetch: typeof globalThis.fetch): FakePage {
  const elements = new Map<string, FakeElement>();
  for (const [, tag = "", id = ""] of html.matchAll(/<(\w+) [^>]*?id="([\w-]+)"/g))
    elements.set(id, new FakeElement(tag));
  const byId = (id: string): FakeElement => {
    const element = elements.get(id);
    if (element === undefined) throw new Error(`the page has no element with id ${id}`);
    return element;
  };
  const timers: (() => void)[] = [];
  const stored = new Map<string, string>();
  const document = {
    getElementById: byId,
    createElement: (tag: string) => new FakeElement(tag),
    hidden: false,
  };
  const sessionStorage = {
    getItem: (name: string) => stored.get(name) ?? null,
    setItem: (name: string, value: string) => stored.set(name, value),
    removeItem: (name: string) => stored.delete(name),
  };
  const later = (call: () => void): void => void timers.push(call);
  const world = { document, sessionStorage, fetch, TextDecoderStream, setInterval: later, setTimeout: later };
  vm.runInNewContext(script, world);
  return { byId, stored, tick: () => timers.forEach((call) => call()) };
}
