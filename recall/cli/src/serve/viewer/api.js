// The service as the page sees it. Everything goes over the public interface.

export class Locked extends Error {}
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || String(status));
    this.status = status;
    this.code = body.code;
    this.body = body;
  }
}

async function ask(method, path, body) {
  const options = { method, credentials: "same-origin", headers: {} };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  if (response.status === 401) throw new Locked();
  const text = await response.text();
  const said = text ? JSON.parse(text) : {};
  if (!response.ok) throw new Problem(response.status, said);
  return said;
}

function query(values) {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") parts.append(name, one);
    }
  }
  const text = parts.toString();
  return text ? `?${text}` : "";
}

const part = encodeURIComponent;

export const recall = (text, kinds, limit) => ask("POST", "/v1/recall", { query: text, kinds, limit });
export const record = (id, context) => ask("GET", `/v1/records/${part(id)}${query({ context })}`);
export const exposures = (id) => ask("GET", `/v1/records/${part(id)}/exposures`);
export const records = (kind, cursor) => ask("GET", `/v1/records${query({ kind, cursor, limit: 30 })}`);
export const sessions = (cursor) => ask("GET", `/v1/sessions${query({ cursor, limit: 30 })}`);
export const messages = (id, source, scope, cursor) =>
  ask("GET", `/v1/sessions/${part(id)}/messages${query({ source, scope: scope && `=${scope}`, cursor, limit: 50 })}`);
export const change = (id, patch) => ask("PATCH", `/v1/records/${part(id)}`, patch);
export const forget = (id) => ask("DELETE", `/v1/records/${part(id)}`);
export const undo = (id) => ask("POST", `/v1/records/${part(id)}/undo`, {});
export const status = () => ask("GET", "/v1/status");

// A code from `harness view`, used once, becomes a cookie that scripts cannot read.
export const enter = (code) => ask("POST", "/v1/view-sessions", { code });

export async function enterWithToken(token) {
  const response = await fetch("/v1/view-sessions", {
    method: "POST",
    credentials: "same-origin",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: "{}",
  });
  if (!response.ok) throw new Locked();
}
