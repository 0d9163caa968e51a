// Pieces that several pages use: a hit, a record, its actions, and what is said in passing.

import * as api from "./api.js";
import { fill, folded, make, marked } from "./dom.js";
import { moment, number, say, sayOne, sayReason } from "./words.js";

// How much of a text is shown before the rest has to be asked for, in characters.
const TEXT_SHOWN = 1500;

let lastForgotten = null;
let fading = 0;

export function toast(text, action) {
  const place = document.getElementById("toast");
  clearTimeout(fading);
  fill(place, make("span", {}, text), action ? make("button", { type: "button", onclick: action.run }, action.label) : "");
  place.classList.add("shown");
  fading = setTimeout(() => place.classList.remove("shown"), action ? 15000 : 4000);
}

export function failed(error) {
  if (error instanceof api.Locked) {
    dispatchEvent(new CustomEvent("locked"));
    return;
  }
  toast(error instanceof TypeError ? say("offline") : error.message);
}

export const link = (page, ...names) => `#/${[page, ...names.map(encodeURIComponent)].join("/")}`;

export function badges(item) {
  const shown = [make("span", { class: `badge ${item.kind}` }, say(item.kind))];
  if (item.outcome) shown.push(make("span", { class: `badge ${item.outcome}` }, say(item.outcome)));
  if (item.role) shown.push(make("span", { class: "badge quiet" }, item.speaker || sayOne("role", item.role)));
  shown.push(...marks(item));
  if (item.trust && !["plain", "trusted"].includes(item.trust)) shown.push(make("span", { class: "badge failure" }, sayOne("trust", item.trust)));
  return shown;
}

export function sayText(item) {
  return item.situation ?? item.text ?? "";
}

// A list entry: what it says, what it is, and what can be done with it.
export function entry(item, refresh) {
  const said = item.snippet ? marked(item.snippet.text, item.snippet.highlights) : [...sayText(item)].slice(0, 320).join("");
  const element = make("article", { class: "entry", "data-id": item.id, "data-kind": item.kind, tabindex: "-1" },
    make("div", { class: "line" }, badges(item), make("span", { class: "grow" }),
      make("time", { datetime: item.created_at }, moment(item.created_at))),
    make("a", { class: "said", href: link("record", item.id), lang: "" }, said),
    (item.tools || []).length ? make("div", { class: "tools-used" }, toolNames(item.tools)) : "",
    item.reason ? make("div", { class: "quiet" }, `${say("reason")}: ${item.reason}`) : "",
    item.replaced_by ? make("a", { class: "warn", href: link("record", item.replaced_by) }, say("replaced")) : "",
    item.copies ? make("div", { class: "quiet" }, say("copies", { n: item.copies })) : "",
    make("div", { class: "line low" },
      make("span", { class: "quiet" }, [item.source, item.scope].filter(Boolean).join(" · ")),
      item.why && Object.keys(item.why).length ? why(item) : "",
      make("span", { class: "grow" }), actions(item, refresh)));
  element.act = actor(item, refresh);
  return element;
}

function toolNames(tools) {
  const names = [];
  for (const { tool } of tools) {
    const last = names.at(-1);
    if (last && last.tool === tool) last.times += 1;
    else names.push({ tool, times: 1 });
  }
  return names.slice(0, 12).map(({ tool, times }) => make("code", {}, times > 1 ? `${tool} ×${times}` : tool));
}

// The parts of a score, each with a bar, its size and the words for it; what counts most first.
function why(hit) {
  const counts = ([, part]) => Math.abs(part.score * part.weight);
  const rows = Object.entries(hit.why).sort((one, other) => counts(other) - counts(one)).map(([arm, part]) =>
    make("tr", {}, make("th", { scope: "row" }, sayOne("arm", arm)),
      make("td", {}, make("meter", { min: 0, max: 1, value: Math.max(0, Math.min(1, part.score)) })),
      make("td", { class: "figure" }, say("part", { score: number(part.score, 2), weight: number(part.weight, 2) })),
      make("td", {}, sayReason(part.words))));
  return make("details", { class: "why" },
    make("summary", {}, `${say("score")} ${number(hit.score, 2)}`),
    make("table", {}, make("caption", {}, say("why")), make("tbody", {}, rows)));
}

function actions(item, refresh) {
  const act = actor(item, refresh);
  const button = (word, run) => make("button", { type: "button", class: "small", "data-act": word, onclick: run }, say(word));
  return make("span", { class: "actions" },
    button(item.pinned ? "unpin" : "pin", act.pin), button("tags", act.tags),
    item.kind === "note" ? button("correct", act.correct) : "", button("forget", act.forget));
}

// What can be done with a record, from a button or a key.
function actor(item, refresh) {
  const attempt = (run) => async () => {
    try {
      await run();
    } catch (error) {
      failed(error);
    }
  };
  return {
    pin: attempt(async () => {
      await api.change(item.id, { pinned: !item.pinned });
      toast(say("saved"));
      await renewed(refresh, item.id);
    }),
    tags: () => edit(say("tags"), say("tags_hint"), (item.tags || []).join(", "), false, attempt, async (text) => {
      const tags = text.split(/[,，、]/).map((tag) => tag.trim()).filter(Boolean);
      await api.change(item.id, { tags });
      toast(say("saved"));
      return () => renewed(refresh, item.id);
    }),
    correct: () => edit(say("correct"), say("text"), item.text, true, attempt, async (text) => {
      const newer = await api.change(item.id, { text });
      toast(say("saved"));
      location.hash = link("record", newer.id);
    }),
    forget: attempt(async () => {
      await api.forget(item.id);
      lastForgotten = { id: item.id, refresh };
      toast(say("forgotten"), { label: say("undo"), run: undoLast });
      await renewed(refresh, item.id, item.id);
    }),
  };
}

// Shows what changed. Who had an entry in hand has it still, or the one that stood beside it where it is gone.
async function renewed(refresh, id, gone) {
  const ids = [...document.querySelectorAll("#main .entry, #main .turn")].map((one) => one.dataset.id);
  const held = document.activeElement?.closest?.(".entry, .turn")?.dataset.id;
  const at = ids.indexOf(id);
  const near = at < 0 ? [id, held, ...ids] : [id, ...ids.slice(at + 1), ...ids.slice(0, at).reverse()];
  await refresh(gone);
  // Who has gone on to something else meanwhile is left there.
  if (document.activeElement && document.activeElement !== document.body) return;
  const shown = new Map([...document.querySelectorAll("#main .entry, #main .turn")].reverse().map((one) => [one.dataset.id, one]));
  const next = shown.get(near.find((one) => one && shown.has(one)));
  next?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
}

export async function undoLast() {
  if (!lastForgotten) return;
  const { id, refresh } = lastForgotten;
  lastForgotten = null;
  await bringBack(id, refresh);
}

export async function bringBack(id, refresh) {
  try {
    await api.undo(id);
    toast(say("undone"));
    await renewed(refresh, id);
  } catch (error) {
    failed(error);
  }
}

// Asks for a text; what `save` answers is done once the dialog is gone, which gives the focus back where it was.
function edit(title, label, value, long, attempt, save) {
  const dialog = document.getElementById("edit");
  const field = make(long ? "textarea" : "input", { id: "edit-field", rows: long ? 8 : undefined, autocomplete: "off" });
  field.value = value;
  const submit = attempt(async () => {
    const then = await save(field.value);
    dialog.close();
    await then?.();
  });
  fill(dialog, make("form", { onsubmit: (event) => { event.preventDefault(); submit(); } },
    make("h2", { id: "edit-title" }, title), make("label", { for: "edit-field" }, label), field,
    make("div", { class: "line" }, make("span", { class: "grow" }),
      make("button", { type: "button", onclick: () => dialog.close() }, say("cancel")),
      make("button", { type: "submit", class: "main" }, say("save")))));
  dialog.showModal();
  field.focus();
}

// One turn of a session, with what its tools did folded away, and what can be done with it by keys.
export function turn(item, here, refresh) {
  const kind = item.form === "summary" || item.form === "scaffold" ? item.form : item.role;
  const calls = (item.tool_calls || []).map((call) =>
    make("details", { class: "tool" }, make("summary", {}, `${say("tool_call")} `, make("code", {}, call.tool)),
      make("pre", {}, call.arguments || "")));
  const result = item.tool_result;
  const text = result || kind === "scaffold" || kind === "summary"
    ? make("details", { class: "tool", open: item.id === here },
        make("summary", {}, kind === "summary" ? say("summary") : kind === "scaffold" ? say("scaffold")
          : [`${say("tool_result")} `, make("code", {}, result.tool || ""), result.ok === false ? ` · ${say("failed")}` : ""]),
        make("pre", {}, item.text))
    : folded(item.text, TEXT_SHOWN, say("more"));
  const element = make("article", { class: `turn ${kind}${item.id === here ? " here" : ""}`, id: `r-${item.id}`, "data-id": item.id, tabindex: "-1" },
    make("div", { class: "line" }, make("strong", {}, item.speaker || sayOne("role", item.role)), marks(item), make("span", { class: "grow" }),
      make("a", { class: "quiet", href: link("record", item.id) }, make("time", { datetime: item.created_at }, moment(item.created_at)))),
    item.text ? text : "", item.caption ? make("div", { class: "quiet" }, `${say("image")}: ${item.caption}`) : "", calls);
  element.act = actor(item, refresh);
  return element;
}

// What somebody made of a record: that it is pinned, and its tags.
function marks(item) {
  const shown = item.pinned ? [make("span", { class: "badge pin" }, say("pinned"))] : [];
  return [...shown, ...(item.tags || []).map((tag) => make("span", { class: "badge tag" }, `#${tag}`))];
}

// What a session is called: its title, or where it has none its id, so that two of them are told apart.
export const called = (session) => session.title || `${say("untitled")} · ${session.id}`;

export function fact(name, value) {
  return value === undefined || value === null || value === "" ? [] : [make("dt", {}, say(name)), make("dd", {}, value)];
}

// A button that fetches the next page, also when it comes into view.
export function pager(next, load) {
  const button = make("button", { type: "button", class: "more", onclick: () => run() }, say("more"));
  let cursor = next;
  let busy = false;
  const eye = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) run(); }, { rootMargin: "300px" });
  async function run() {
    if (busy || !cursor) return;
    busy = true;
    try {
      cursor = await load(cursor);
    } catch (error) {
      failed(error);
    }
    busy = false;
    if (!cursor) {
      eye.disconnect();
      button.remove();
    }
  }
  if (!cursor) return "";
  eye.observe(button);
  return button;
}
