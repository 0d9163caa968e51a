// The viewer as a person uses it, in headless Chromium.
//
//   node viewer.mjs ADDRESS CHROMIUM [FOLDER FOR SCREENSHOTS]
//
// ADDRESS is what `harness view --no-open` prints. Needs the npm package playwright-core.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [address, executablePath, shots] = process.argv.slice(2);
const quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args: quiet });
const errors = [];

async function open(options, url) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, locale: "en-GB", ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (line) => { if (line.type() === "error" && !/401|410/.test(line.text())) errors.push(line.text()); });
  page.on("request", (request) => { if (!request.url().startsWith(new URL(address).origin)) errors.push(`asked ${request.url()}`); });
  await page.goto(url);
  return { context, page };
}

const shot = async (page, name) => {
  assert.ok(!(await page.locator("body").innerText()).includes("[object"), name);
  if (shots) await page.screenshot({ path: `${shots}/${name}.png` });
};

try {
  // Without a code the page shows nothing of the memory.
  const stranger = await open({}, new URL(address).origin);
  await stranger.page.waitForSelector("form.locked");
  await stranger.context.close();

  const { context, page } = await open({}, address);
  await page.waitForSelector(".entry");
  assert.ok(!page.url().includes("code="), "the code leaves the address");
  assert.equal(await page.evaluate(() => document.cookie), "", "scripts cannot read the cookie");
  await shot(page, "light-start");

  // Search in Chinese by keyboard alone; the match is marked.
  await page.keyboard.press("/");
  await page.keyboard.type("备份");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".search mark");
  assert.match(await page.locator(".entry").first().innerText(), /备份/);
  assert.equal(await page.locator(".entry mark").first().innerText(), "备份");
  await page.locator(".why summary").first().click();
  assert.match(await page.locator(".why[open]").first().innerText(), /text/);
  await shot(page, "light-search");

  // Pin it, tag it, by keys.
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  const held = () => page.evaluate(() => document.activeElement?.dataset?.id ?? null);
  const holds = (id) => page.waitForFunction((wanted) => document.activeElement?.dataset?.id === wanted, id);
  const pinned = await held();
  await page.keyboard.press("p");
  await page.waitForSelector(".entry .badge.pin");
  await holds(pinned);
  await page.keyboard.press("j");
  const tagged = await held();
  await page.keyboard.press("t");
  await page.keyboard.type(", 演示");
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=#演示");
  await holds(tagged);

  // Forget it and bring it back.
  const before = await page.locator(".entry").count();
  await page.keyboard.press("j");
  const forgotten = await held();
  await page.keyboard.press("f");
  await page.waitForFunction((count) => document.querySelectorAll(".entry").length < count, before);
  await page.waitForFunction(() => document.activeElement?.matches(".entry"));
  assert.notEqual(await held(), forgotten, "the one beside it is in hand");
  await page.keyboard.press("u");
  await page.waitForFunction((count) => document.querySelectorAll(".entry").length === count, before);
  await holds(forgotten);

  // One that is open when it is forgotten says until when it can be brought back, and brings it back.
  await page.locator(".entry a.said").first().click();
  await page.waitForSelector("#given h2");
  const opened = page.url();
  await page.locator("[data-act=forget]").click();
  await page.waitForFunction((url) => location.href !== url, opened);
  await page.goto(opened);
  await page.reload();
  await page.locator(".empty button.main").click();
  await page.waitForSelector("#given h2");

  // A session is read as a conversation, with what tools did folded away.
  await page.keyboard.press("2");
  await page.waitForSelector(".timeline .entry");
  await shot(page, "light-sessions");
  assert.match(await page.title(), /^Sessions · harness$/);
  // The link to the content goes there, and stays on the page.
  await page.evaluate(() => document.activeElement?.blur());
  await page.locator(".skip").focus();
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  assert.match(page.url(), /#\/sessions$/);
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".talk .turn");
  assert.ok(await page.locator(".turn details.tool:not([open])").count() > 0, "tool calls are folded");
  await shot(page, "light-session");
  assert.doesNotMatch(await page.title(), /^harness$/);
  // Its turns are pinned, forgotten and brought back by the keys that are listed.
  await page.keyboard.press("j");
  const said = await held();
  await page.keyboard.press("p");
  await page.waitForSelector(".turn .badge.pin");
  await holds(said);
  await page.keyboard.press("p");
  await page.waitForSelector(".turn .badge.pin", { state: "detached" });
  await holds(said);
  const turns = await page.locator(".turn").count();
  await page.keyboard.press("f");
  await page.waitForFunction((count) => document.querySelectorAll(".turn").length < count, turns);
  await page.keyboard.press("u");
  await page.waitForFunction((count) => document.querySelectorAll(".turn").length === count, turns);

  // An episode: situation, tools, outcome, provenance, and the runs that it was given to.
  await page.keyboard.press("3");
  await page.waitForSelector(".episodes .entry");
  await page.locator(".entry a.said").first().click();
  await page.waitForSelector("#given h2");
  const given = await page.locator("#given li").allInnerTexts();
  assert.ok(given.some((text) => /run-1/.test(text) && /success/.test(text)), given.join());
  assert.ok(given.some((text) => /run-2/.test(text) && /not ended/.test(text)), given.join());
  await shot(page, "light-episode");
  await page.keyboard.press("5");
  await page.waitForSelector(".cards .card");
  await shot(page, "light-status");

  // In Chinese, in the dark, on a phone.
  await page.locator("#language").click();
  await page.waitForSelector("nav >> text=状态");
  assert.equal(await page.locator("#nav").getAttribute("aria-label"), "页面");
  await page.waitForSelector(".card >> text=文字");
  const state = await context.storageState();
  await context.close();
  const phone = await open({ viewport: { width: 390, height: 844 }, colorScheme: "dark", storageState: state }, new URL(address).origin);
  await phone.page.waitForSelector(".entry");
  for (const [name, hash] of [["start", "#/"], ["search", "#/search/%E5%A4%87%E4%BB%BD"], ["sessions", "#/sessions"], ["status", "#/status"]]) {
    await phone.page.goto(new URL(address).origin + "/" + hash);
    await phone.page.waitForSelector(".entry, .card");
    const wide = await phone.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name} is ${wide} pixels wider than a phone`);
    await shot(phone.page, `dark-phone-${name}`);
    if (name === "search") {
      // Reasons are in the language of the page; what matched is the text's own.
      await phone.page.locator(".why summary").first().click();
      assert.doesNotMatch(await phone.page.locator(".why[open] td:last-child").allInnerTexts().then((all) => all.join()), /it is|session has|days old/);
    }
  }
  assert.deepEqual(errors, []);
  console.log("viewer: ok");
} finally {
  await browser.close();
}
