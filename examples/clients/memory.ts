/**
 * A client of `harness serve` with nothing but `fetch`: copy it, or read it as the interface in fifty lines.
 *
 *     harness serve &
 *     node memory.ts        (Node 22.18 or later reads TypeScript)
 *
 * Everything it knows of the service is in `openapi.json`, which the server serves too. The class is what a program
 * needs; below it is a walk through a day of an agent.
 */

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";

export type Kind = "message" | "episode" | "note" | "lesson";
export type Outcome = "success" | "failure" | "unknown";
export type Role = "user" | "assistant" | "system" | "tool";

export interface Hit {
  id: string;
  kind: Kind;
  /** 0 to 1 within one answer, and not to be compared with another's. */
  score: number;
  text: string;
  scope: string;
  created_at: string;
  tags?: string[];
  outcome?: Outcome;
}

export interface Answer {
  hits: Hit[];
  /** How sure recall is that the first hits answer the question, 0 to 1. */
  confidence: number;
  degraded?: { arm: string; code: string; hint: string }[];
}

export interface MemoryRecord {
  id: string;
  kind: Kind;
  text?: string;
}

/** What the service refuses, with a `code` that stays the same (RFC 9457). */
export class Problem extends Error {
  readonly code: string;
  readonly status: number;

  constructor(problem: { code: string; status: number; detail: string }) {
    super(`${problem.detail} (${problem.code}, ${problem.status})`);
    this.code = problem.code;
    this.status = problem.status;
  }
}

/** The memory of this machine. */
export class Memory {
  readonly url: string;
  readonly #token: string;

  constructor(url: string, token: string) {
    this.url = url;
    this.#token = token;
  }

  /** The memory that `harness serve` serves for a home: its `serve.json` says where it is, and where the token is. */
  static ofHome(home = process.env.HARNESS_HOME ?? join(homedir(), ".local/share/harness")): Memory {
    const said = JSON.parse(readFileSync(join(home, "serve.json"), "utf8"));
    return new Memory(said.url, readFileSync(said.token_file, "utf8").trim());
  }

  async ask<T>(method: string, path: string, body?: unknown, key?: string): Promise<T> {
    const headers: { [name: string]: string } = { Authorization: `Bearer ${this.#token}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (key !== undefined) headers["Idempotency-Key"] = key;
    for (let attempt = 0; ; attempt++) {
      const response = await fetch(this.url + path, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(30_000),
      });
      const said = await response.json();
      if (response.ok) return said as T;
      // A server that has too much to do says when to come again.
      if (response.status !== 503 || attempt === 4) throw new Problem(said);
      const seconds = Number(response.headers.get("Retry-After") ?? 1);
      await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    }
  }

  /** Keeps a note; the same key adds nothing the second time, however often a request is sent again. */
  async remember(text: string, more: { tags?: string[]; replaces?: string } = {}, key: string = randomUUID()): Promise<string> {
    return (await this.ask<{ id: string }>("POST", "/v1/notes", { text, ...more }, key)).id;
  }

  /** The answer to a question: its hits, best first. */
  recall(query: string, wanted: { limit?: number; kinds?: Kind[]; scopes?: string[]; explain?: boolean } = {}): Promise<Answer> {
    return this.ask("POST", "/v1/recall", { query, ...wanted });
  }

  /** What is worth saying about a task, packed for a prompt; empty when nothing is known well enough. */
  async context(task: string, budget_tokens = 800): Promise<string> {
    return (await this.ask<{ text: string }>("POST", "/v1/context", { task, budget_tokens })).text;
  }

  /** Keeps what was tried and how it ended. */
  async recordEpisode(episode: {
    situation: string;
    tools: string[];
    outcome: Outcome;
    reason?: string;
    lesson?: string;
  }): Promise<string> {
    return (await this.ask<{ id: string }>("POST", "/v1/episodes", episode, randomUUID())).id;
  }

  /** Adds messages to a conversation. */
  say(session: string, ...messages: { role: Role; text: string }[]): Promise<unknown> {
    return this.ask("POST", `/v1/sessions/${encodeURIComponent(session)}/messages`, messages, randomUUID());
  }

  /** All records of a kind, page by page; a cursor goes on where the last page ended. */
  async *records(wanted: { kind?: Kind; limit?: number }): AsyncGenerator<MemoryRecord> {
    const query = new URLSearchParams(Object.entries(wanted).map(([name, value]) => [name, String(value)]));
    for (;;) {
      const page = await this.ask<{ records: MemoryRecord[]; next?: string }>("GET", `/v1/records?${query}`);
      yield* page.records;
      if (page.next === undefined) return;
      query.set("cursor", page.next);
    }
  }

  /** Forgets a record; until the answered time it can be brought back. */
  async forget(record: string): Promise<string> {
    return (await this.ask<{ undo_until: string }>("DELETE", `/v1/records/${record}`)).undo_until;
  }

  undo(record: string): Promise<MemoryRecord> {
    return this.ask("POST", `/v1/records/${record}/undo`);
  }
}

async function main(): Promise<void> {
  const memory = Memory.ofHome(process.argv[2]);
  const first = await memory.remember("staging deploys need the VPN", { tags: ["deploy"] });
  await memory.remember("上线前先备份数据库", { tags: ["deploy"] });
  await memory.say("a-typescript-day", { role: "user", text: "why did the deploy hang?" }, { role: "assistant", text: "the VPN was down" });
  await memory.recordEpisode({
    situation: "deploy the shop to staging",
    tools: ["bash", "edit"],
    outcome: "failure",
    reason: "no VPN",
    lesson: "connect first",
  });

  for (const question of ["what do I need for a deploy to staging?", "上线之前要做什么"]) {
    console.log(question);
    for (const hit of (await memory.recall(question, { limit: 3 })).hits) {
      console.log(`  ${hit.score.toFixed(2)}  ${hit.kind.padEnd(8)} ${hit.text}`);
    }
  }

  // Something changed: the new statement replaces the old one, and is found before it.
  const second = await memory.remember("staging deploys need no VPN any more", { replaces: first });
  const [best] = (await memory.recall("do staging deploys need the VPN?")).hits;
  if (best?.id !== second) throw new Error(`the newer statement is first, not ${best?.text}`);

  const until = await memory.forget(second);
  if ((await memory.recall("VPN staging")).hits.some((hit) => hit.id === second)) throw new Error("it was forgotten");
  await memory.undo(second);
  console.log(`forgotten, and brought back (it could have been until ${until})`);

  let notes = 0;
  for await (const _ of memory.records({ kind: "note", limit: 1 })) notes += 1;
  console.log(`${notes} notes`);
  console.log((await memory.context("deploy the shop to staging")) || "nothing is known well enough to be said");

  try {
    await memory.remember("  ");
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    console.log(`refused: ${problem.message}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
