// The pages: each takes the place for it and fills it.

import * as api from "./api.js";
import { fill, folded, make } from "./dom.js";
import { bringBack, called, entry, fact, failed, link, pager, sayText, turn } from "./parts.js";
import { bytes, day, moment, number, say, sayDegraded, sayOne, span } from "./words.js";

const KINDS = ["message", "episode", "note", "lesson"];

// How many hits are shown, and how many more each time: a page of a book, not the library.
const HITS = 20;
const HITS_MAX = 200;

const TEXT_SHOWN = 6000;

export async function search(place, [text = "", kind = ""]) {
  let limit = HITS;
  const list = make("div", { class: "list", role: "feed", "aria-label": say("hits_first") });
  const note = make("div", { class: "notes" });
  const kinds = make("div", { class: "kinds", role: "group" }, ["", ...KINDS].map((one) =>
    make("a", { href: text ? link("search", text, one) : "#/", "aria-current": one === kind ? "true" : undefined }, say(one || "all"))));
  const more = make("button", { type: "button", class: "more", hidden: true, onclick: () => { limit += HITS; load(); } }, say("more"));
  fill(place, text ? kinds : "", note, list, more);
  if (!text) {
    await recent(list, place, kind);
    return;
  }
  async function load() {
    list.setAttribute("aria-busy", "true");
    const answer = await api.recall(text, kind ? [kind] : [], Math.min(limit, HITS_MAX));
    list.removeAttribute("aria-busy");
    fill(note,
      make("span", { class: "quiet" }, `${say("confidence")} ${number(answer.confidence, 2)}`),
      ...(answer.degraded || []).map((part) => make("details", { class: "degraded" },
        make("summary", {}, `${say("degraded")}: ${sayOne("arm", part.arm)}`), sayDegraded(part))));
    fill(list, ...(answer.hits.length ? answer.hits.map((hit) => entry(hit, () => load().catch(failed))) : [empty()]));
    more.hidden = answer.hits.length < limit || limit >= HITS_MAX;
  }
  await load();
}

function empty() {
  return make("p", { class: "empty" }, say("nothing"), " ", make("span", { class: "quiet" }, say("nothing_hint")));
}

// What was added last, when nothing is asked.
async function recent(list, place, kind) {
  await paged(list, place, (cursor) => api.records(kind ? [kind] : ["note", "lesson", "episode"], cursor));
}

async function paged(list, place, fetch) {
  const refresh = () => {
    fill(list);
    place.querySelectorAll(".more").forEach((button) => button.remove());
    return paged(list, place, fetch).catch(failed);
  };
  const add = (page) => {
    list.append(...page.records.map((item) => entry(item, (gone) => {
      if (!gone) return refresh();
      list.querySelector(`[data-id="${CSS.escape(gone)}"]`)?.remove();
    })));
    return page.next;
  };
  const next = add(await fetch());
  if (!list.childElementCount) list.append(empty());
  place.append(pager(next, async (cursor) => add(await fetch(cursor))));
}

async function listing(place, title, kinds) {
  const list = make("div", { class: "list", role: "feed" });
  fill(place, make("h1", {}, say(title)), list);
  await paged(list, place, (cursor) => api.records(kinds, cursor));
}

export const episodes = (place) => listing(place, "episodes", ["episode"]);
export const notes = (place) => listing(place, "notes", ["note", "lesson"]);

export async function sessions(place) {
  const list = make("div", { class: "timeline" });
  fill(place, make("h1", {}, say("sessions")), list);
  let shown = "";
  const add = (page) => {
    for (const one of page.sessions) {
      const when = one.started_at || one.ended_at;
      const today = when ? day(when) : "";
      if (today !== shown) {
        shown = today;
        list.append(make("h2", {}, today));
      }
      list.append(make("article", { class: "entry", tabindex: "-1" },
        make("a", { class: "said", href: link("session", one.id, one.source, one.scope) }, called(one)),
        make("div", { class: "line low" },
          make("span", { class: "quiet" }, [one.source, one.project, one.branch].filter(Boolean).join(" · ")),
          make("span", { class: "grow" }), make("span", { class: "quiet" }, say("turns", { n: number(one.messages) })),
          when ? make("time", { datetime: when }, moment(when)) : "")));
    }
    return page.next;
  };
  const next = add(await api.sessions());
  if (!list.childElementCount) list.append(empty());
  place.append(pager(next, async (cursor) => add(await api.sessions(cursor))));
}

export async function session(place, [id, source, scope]) {
  const first = await api.messages(id, source, scope);
  const about = first.session;
  const talk = make("div", { class: "talk" });
  fill(place,
    make("h1", {}, called(about)),
    make("p", { class: "quiet" }, [about.source, about.project, about.directory, about.branch,
      about.started_at && moment(about.started_at), say("turns", { n: number(about.messages) })].filter(Boolean).join(" · ")),
    talk);
  // A turn that is shown anew where it stands, and where it stood once it is forgotten, for it may be brought back.
  const live = (item) => {
    const gap = make("span", { hidden: true });
    const one = turn(item, undefined, async (gone) => {
      if (gone) one.replaceWith(gap);
      else (gap.isConnected ? gap : one).replaceWith(live(await api.record(item.id)));
    });
    return one;
  };
  const add = (page) => {
    talk.append(...page.messages.map(live));
    return page.next;
  };
  const next = add(first);
  place.append(pager(next, async (cursor) => add(await api.messages(id, source, scope, cursor))));
}

export async function record(place, [id]) {
  let item;
  try {
    item = await api.record(id, 3);
  } catch (error) {
    if (error.status !== 410) throw error;
    const back = () => bringBack(id, () => record(place, [id]).catch(failed));
    const until = error.body.undo_until;
    fill(place, make("div", { class: "empty" }, make("p", {}, say("gone")), until
      ? [make("p", { class: "quiet" }, say("gone_until", { when: moment(until) })), make("button", { type: "button", class: "main", onclick: back }, say("undo"))] : ""));
    return;
  }
  const refresh = (gone) => (gone ? history.back() : record(place, [id]).catch(failed));
  const head = entry({ ...item, snippet: undefined }, refresh);
  head.querySelector(".said")?.remove();
  const body = item.kind === "episode" ? episode(item) : item.kind === "message"
    ? make("div", { class: "talk" }, [...(item.before || []), item, ...(item.after || [])].map((one) => turn(one, item.id, (gone) => (gone === id ? history.back() : record(place, [id]).catch(failed)))))
    : [folded(sayText(item), TEXT_SHOWN, say("more")), item.evidence?.length
        ? make("p", {}, `${say("evidence")}: `, item.evidence.map((one) => [make("a", { href: link("record", one) }, one.slice(0, 13)), " "])) : ""];
  fill(place, head, make("section", {}, body), provenance(item), make("section", { id: "given" }));
  await given(place.querySelector("#given"), id);
}

function episode(item) {
  return [
    make("h2", {}, say("situation")), folded(item.situation, TEXT_SHOWN, say("more")),
    item.user_turns?.length ? make("details", {}, make("summary", {}, say("turns_later")), make("ul", {}, item.user_turns.map((text) => make("li", {}, text)))) : "",
    make("h2", {}, say("outcome")),
    make("p", {}, make("span", { class: `badge ${item.outcome}` }, say(item.outcome)), item.reason ? ` ${say("reason")}: ${item.reason}` : ""),
    item.lesson ? make("p", {}, make("strong", {}, `${say("lesson_of")}: `), item.lesson) : "",
    item.tools?.length ? [make("h2", {}, say("tools")), make("ol", { class: "steps" }, item.tools.map((used) =>
      make("li", { class: used.ok === false ? "bad" : "" }, make("code", {}, used.tool), " ", used.gist || "",
        used.error ? make("pre", {}, used.error) : "")))] : "",
    item.errors?.length ? [make("h2", {}, say("errors")), make("ul", {}, item.errors.map((text) => make("li", {}, make("pre", {}, text))))] : "",
    make("dl", {}, fact("cost", item.cost_usd === undefined ? "" : `$${number(item.cost_usd, 4)}`),
      fact("tokens", item.tokens && number(item.tokens)), fact("duration", item.duration_ms && span(item.duration_ms / 1000))),
  ];
}

function provenance(item) {
  const session = item.session && make("a", { href: link("session", item.session, item.source, item.scope) }, item.session);
  const other = (id) => id && make("a", { href: link("record", id) }, id);
  return make("details", { class: "provenance" }, make("summary", {}, say("provenance")), make("dl", {},
    fact("created", moment(item.created_at)), fact("source", item.source), fact("session", session), fact("scope", item.scope),
    fact("origin", item.origin && sayOne("origin", item.origin)), fact("trust", item.trust && sayOne("trust", item.trust)),
    fact("key", item.key), fact("id", item.id),
    fact("replaces", other(item.replaces)), fact("replaced", other(item.replaced_by))));
}

// The later runs that a record was given to, and how they ended.
async function given(place, id) {
  const { exposures } = await api.exposures(id);
  fill(place, make("h2", {}, say("injected")), exposures.length
    ? make("ul", {}, exposures.map((one) => make("li", {},
        make("time", { datetime: one.at }, moment(one.at)), ` · ${say("run")} `, make("code", {}, one.run), " ",
        one.outcome ? make("span", { class: `badge ${one.outcome}` }, say(one.outcome)) : make("span", { class: "quiet" }, say("not_ended")),
        one.reason ? make("span", { class: "quiet" }, ` ${one.reason}`) : "", make("div", { class: "quiet" }, one.query))))
    : make("p", { class: "quiet" }, say("injected_none")));
}

export async function status(place) {
  const all = await api.status();
  fill(place, make("h1", {}, say("status")),
    all.store ? [make("h2", {}, say("store")), make("div", { class: "cards" },
      Object.entries(all.store.records).map(([kind, count]) => card(say(kind), number(count))),
      card(say("sessions"), number(all.store.sessions)), card(bytes(all.store.bytes), say("changes", { n: number(all.store.seq) })),
      all.store.forgotten ? card(say("forgotten_count", { n: number(all.store.forgotten) }), "") : "")] : "",
    make("h2", {}, say("indexes")), make("div", { class: "cards" }, all.indexes.map((index) =>
      card(sayOne("arm", index.name), indexState(index.state),
        index.documents === undefined ? "" : say("documents", { n: number(index.documents) }),
        index.bytes === undefined ? "" : bytes(index.bytes), index.lag ? say("lag", { n: number(index.lag) }) : ""))),
    make("h2", {}, say("model")), make("p", {}, all.model || say("no_model")),
    all.model_error ? make("p", { class: "warn" }, all.model_error) : "",
    make("dl", {}, fact("version", all.version), fact("uptime", all.uptime_seconds !== undefined && span(all.uptime_seconds)),
      fact("follower", all.follower), fact("scope", all.user)));
}

// A word, and for an index that has to be made anew the reason.
function indexState(state) {
  const [word, ...reason] = state.split(": ");
  return [sayOne("state", word), ...reason].join(": ");
}

function card(title, main, ...more) {
  return make("div", { class: "card" }, make("div", { class: "quiet" }, title), make("div", { class: "figure" }, main), more.map((text) => (text ? make("div", { class: "quiet" }, text) : "")));
}
