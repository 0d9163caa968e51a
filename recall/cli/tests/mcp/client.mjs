// A client of the protocol's own SDK: node client.mjs stdio PROGRAM | node client.mjs http URL TOKEN

import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [way, place, token] = process.argv.slice(2);
const transport =
  way === "stdio"
    ? new StdioClientTransport({ command: place, args: ["mcp"], env: { ...process.env } })
    : new StreamableHTTPClientTransport(new URL(place), { requestInit: { headers: { Authorization: `Bearer ${token}` } } });
const client = new Client({ name: "test", version: "1" });
await client.connect(transport);
assert.match(client.getInstructions(), /memory_search/);
const { tools } = await client.listTools();
assert.equal(tools.length, 6);

async function call(name, input) {
  // The SDK checks the structured result against the tool's output schema.
  const result = await client.callTool({ name, arguments: input });
  assert.ok(!result.isError, JSON.stringify(result));
  return result.structuredContent;
}

const word = `${way}-kept-7431`;
const saved = await call("memory_save", { text: `kept by the SDK over ${way}: 部署口令 ${word}`, tags: ["sdk"] });
const found = await call("memory_search", { query: word });
assert.equal(found.hits[0].id, saved.id);
assert.equal((await call("memory_get", { ids: [saved.id] })).records[0].id, saved.id);
await call("experience_record", { situation: `a run over ${way}`, tools: ["bash"], outcome: "success" });
await call("session_search", {});
const { resources } = await client.listResources();
assert.ok(resources.some(({ uri }) => uri.endsWith(saved.id)));
const { contents } = await client.readResource({ uri: `harness://record/${saved.id}` });
assert.match(contents[0].text, /部署口令/);
const prompt = await client.getPrompt({ name: "recall", arguments: { task: `what is ${word}?` } });
assert.match(prompt.messages[0].content.text, /kept-7431/);
await client.ping();
await client.close();
