// The page as a whole: which part is shown, keys, language and theme, and getting in.

import * as api from "./api.js";
import { fill, make } from "./dom.js";
import * as pages from "./pages.js";
import { failed, link, undoLast } from "./parts.js";
import { currentLanguage, otherLanguage, say } from "./words.js";

const NAV = [["search", "#/"], ["sessions", "#/sessions"], ["episodes", "#/episodes"], ["notes", "#/notes"], ["status", "#/status"]];
const PAGES = { search: pages.search, sessions: pages.sessions, session: pages.session, episodes: pages.episodes,
  notes: pages.notes, record: pages.record, status: pages.status };

// Pages whose own words are their title, until these are there.
const TITLES = { session: "sessions", record: "records" };

// How much of a title is shown, in characters.
const TITLE_SHOWN = 60;

const main = document.getElementById("main");
const query = document.getElementById("query");
let shown = 0;

function route() {
  const [page = "", ...names] = location.hash.replace(/^#\/?/, "").split("/").map((name) => {
    try {
      return decodeURIComponent(name);
    } catch {
      return name;
    }
  });
  return { page: page in PAGES ? page : "search", names };
}

async function show() {
  const { page, names } = route();
  const turn = ++shown;
  if (page === "search") query.value = names[0] || "";
  for (const anchor of document.querySelectorAll("#nav a")) {
    if (anchor.dataset.page === page) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  const place = make("div", { class: `page ${page}` }, make("p", { class: "quiet" }, say("loading")));
  try {
    fill(main, place);
    document.title = titled(say(page in TITLES ? TITLES[page] : page));
    await PAGES[page](place, names);
    scrollTo(0, 0);
    if (turn === shown) document.title = titled(heading(page, place, names));
  } catch (error) {
    if (turn !== shown) return;
    failed(error);
    if (!(error instanceof api.Locked)) fill(place, make("p", { class: "empty" }, error.message));
  }
}

// What stands in the browser's tabs and history.
const titled = (text) => `${[...text].slice(0, TITLE_SHOWN).join("")} · harness`;

function heading(page, place, names) {
  if (page === "search") return names[0] || say("search");
  const text = page === "record" ? place.querySelector(".turn.here .text, section .text") : place.querySelector("h1");
  return text?.textContent.trim() || say(page in TITLES ? TITLES[page] : page);
}

function dress() {
  document.documentElement.lang = currentLanguage() === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say(element.dataset.label));
  for (const element of document.querySelectorAll("[data-hint]")) element.setAttribute("placeholder", say(element.dataset.hint));
  document.getElementById("language").textContent = say("language");
  document.getElementById("theme").textContent = dark() ? "☀" : "☾";
  fill(document.getElementById("nav"), NAV.map(([page, href]) => make("a", { href, "data-page": page }, say(`nav_${page}`))));
}

const dark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function locked() {
  const field = make("input", { type: "password", id: "token", autocomplete: "off" });
  fill(main, make("form", { class: "locked", onsubmit: async (event) => {
    event.preventDefault();
    try {
      await api.enterWithToken(field.value.trim());
      show();
    } catch (error) {
      failed(error instanceof api.Locked ? new Error(say("locked")) : error);
    }
  } }, make("h1", {}, say("locked")), make("p", {}, say("locked_hint")), make("label", { for: "token" }, say("token")), field,
    make("button", { type: "submit", class: "main" }, say("open"))));
}

function help() {
  const keys = [["/", "key_search"], ["j", "key_next"], ["k", "key_previous"], ["Enter", "key_open"], ["p", "key_pin"], ["t", "key_tags"],
    ["f", "key_forget"], ["u", "key_undo"], ["1 – 5", "key_pages"], ["Esc", "key_back"], ["?", "key_help"]];
  const dialog = document.getElementById("help");
  fill(dialog, make("h2", { id: "help-title" }, say("help_title")),
    make("dl", {}, keys.map(([key, word]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, say(word))])),
    make("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, say("close")));
  dialog.showModal();
}

const entries = () => [...main.querySelectorAll(".entry, .turn")];
const current = () => document.activeElement?.closest?.(".entry, .turn");

function step(by) {
  const all = entries();
  const at = all.indexOf(current());
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

const KEYS = {
  "/": () => { query.focus(); query.select(); },
  j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
  Enter: () => current()?.querySelector("a.said, a")?.click(), o: () => current()?.querySelector("a.said, a")?.click(),
  p: () => current()?.act?.pin(), t: () => current()?.act?.tags(), f: () => current()?.act?.forget(), u: undoLast,
  "?": help, Escape: () => (route().page === "search" ? document.activeElement?.blur() : history.back()),
};
NAV.forEach(([, href], at) => { KEYS[String(at + 1)] = () => { location.hash = href; }; });

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
  const typing = event.target.matches?.("input, textarea, select");
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    else if (event.key === "ArrowDown" && event.target === query) step(1);
    return;
  }
  if ((event.key === "Enter" || event.key === " ") && event.target.matches?.("a, button, summary")) return;
  const run = KEYS[event.key];
  if (!run) return;
  event.preventDefault();
  run();
});

document.getElementById("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = query.value.trim();
  const kind = route().page === "search" ? route().names[1] || "" : "";
  const hash = text ? link("search", text, kind) : "#/";
  if (location.hash === hash) show();
  else location.hash = hash;
});
document.getElementById("language").addEventListener("click", () => { otherLanguage(); dress(); show(); });
document.getElementById("theme").addEventListener("click", () => {
  const theme = dark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("harness.theme", theme);
  dress();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  // The address names the page, and no part of it.
  event.preventDefault();
  main.focus();
  main.scrollIntoView();
});
document.getElementById("keys").addEventListener("click", help);
addEventListener("hashchange", show);
addEventListener("locked", locked);

async function start() {
  const theme = localStorage.getItem("harness.theme");
  if (theme) document.documentElement.dataset.theme = theme;
  dress();
  const code = /^#code=([\w-]+)$/.exec(location.hash)?.[1];
  if (code) {
    // The code is used up and leaves the address before anything else happens.
    history.replaceState(null, "", "/");
    await api.enter(code).catch(() => {});
  }
  await show();
}

start();
