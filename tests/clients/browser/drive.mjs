// Drives Chromium through a list of steps, given as JSON on stdin; prints what it saw as JSON on stdout.
// A step: {go, width, script, fill: {label: text}, choose: {label: option}, check: [label], click: {role, name},
//          press: [keys], picture: file, see: [selectors]}
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { chromium } = createRequire(process.env.BROWSER_HOME + "/")("playwright-core");
const plan = JSON.parse(readFileSync(0, "utf8"));
const browser = await chromium.launch({ executablePath: plan.chromium, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
const context = await browser.newContext({ javaScriptEnabled: plan.javascript, viewport: { width: 1200, height: 900 } });
const page = await context.newPage();
const told = { complaints: [], hosts: [], steps: [] };
page.on("console", (message) => told.complaints.push(message.text()));
page.on("pageerror", (error) => told.complaints.push(String(error)));
page.on("request", (request) => told.hosts.push(new URL(request.url()).host));

for (const step of plan.steps) {
  if (step.width) await page.setViewportSize({ width: step.width, height: 900 });
  if (step.go) await page.goto(plan.base + step.go);
  for (const [label, text] of Object.entries(step.fill ?? {})) await page.getByLabel(label, { exact: true }).fill(text);
  for (const [label, name] of Object.entries(step.choose ?? {}))
    await page.getByLabel(label, { exact: true }).selectOption({ label: name });
  for (const label of step.check ?? []) await page.getByLabel(label, { exact: true }).check();
  for (const key of step.press ?? []) await page.keyboard.press(key);
  if (step.click) {
    const found = page.getByRole(step.click.role, { name: step.click.name, exact: true });
    await Promise.all([page.waitForLoadState("load"), found.first().click()]);
  }
  if (step.picture) await photograph(step);
  const seen = { url: page.url(), title: await page.title(), texts: {} };
  for (const selector of step.see ?? []) seen.texts[selector] = await page.locator(selector).allInnerTexts();
  seen.tree = step.tree ? await page.locator("body").ariaSnapshot() : undefined;
  if (plan.javascript) {
    seen.wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    seen.focus = await page.evaluate(() => document.activeElement?.id || document.activeElement?.className || "");
    seen.contrast = await page.evaluate(contrasts);
  }
  told.steps.push(seen);
}
await browser.close();
console.log(JSON.stringify(told));

// Chromium on a busy machine cannot always take a picture at once
async function photograph(step, more = 3) {
  try {
    await page.screenshot({ path: step.picture, fullPage: step.whole ?? true });
  } catch (error) {
    if (!more) throw error;
    await page.waitForTimeout(1000);
    await photograph(step, more - 1);
  }
}

// the texts of the page with too little contrast against what is behind them (WCAG AA: 4.5, large text 3)
function contrasts() {
  const parts = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(parts(style.color).slice(0, 3)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) poor.push(`${walker.currentNode.textContent.trim()} ${ratio.toFixed(2)}`);
  }
  return poor;
}
