// Makes pages move: live parts, growing tables, the reader's own zone, keys. Every page works without it.
"use strict";
(() => {
  const $ = (query, from = document) => from.querySelector(query);
  const $$ = (query, from = document) => [...from.querySelectorAll(query)];
  const root = document.documentElement;

  // Times: the server writes UTC; the reader sees their own zone, and how long ago on hover.
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const brief = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
  const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  function relative(date) {
    const seconds = (date - Date.now()) / 1000;
    for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]])
      if (Math.abs(seconds) >= length) return ago.format(Math.round(seconds / length), unit);
    return ago.format(Math.round(seconds), "second");
  }
  function localise(from) {
    for (const time of $$("time[datetime]", from)) {
      const date = new Date(time.dateTime);
      if (isNaN(date)) continue;
      time.textContent = time.dataset.form === "full" ? exact.format(date) : brief.format(date);
      time.title = `${exact.format(date)} (${relative(date)})`;
    }
  }

  async function load(address, options = {}) {
    const answer = await fetch(address, { headers: { "X-Fragment": "1" }, credentials: "same-origin", ...options });
    return { ok: answer.ok, status: answer.status, text: await answer.text() };
  }
  function put(target, text) {
    const parked = document.createElement("template");
    parked.innerHTML = text; // from our own server, which escapes every value
    target.replaceChildren(parked.content);
    prepare(target);
  }

  // Live parts: `data-live` names where the part comes from. It asks again until the answer names nowhere.
  function live(part) {
    let pause = 1000;
    const again = () => setTimeout(step, document.hidden ? 5000 : pause);
    async function step() {
      if (!part.isConnected) return;
      try {
        const { ok, status, text } = await load(part.dataset.live);
        if (status === 401) return location.reload();
        if (ok) {
          pause = 1000;
          if (text !== part.dataset.last) { part.dataset.last = text; const open = $$("details[open]", part).map((d) => d.id); put(part, text); open.forEach((id) => id && document.getElementById(id)?.setAttribute("open", "")); }
          const next = $("[data-next]", part);
          if (!next) { if ($("[data-reload]", part)) location.reload(); return; }
          part.dataset.live = next.dataset.next;
        } else pause = Math.min(pause * 2, 15000);
      } catch { pause = Math.min(pause * 2, 15000); }
      again();
    }
    again();
  }

  // Parts that take longer than the page: `data-load`.
  async function late(part) {
    const { ok, text } = await load(part.dataset.load).catch(() => ({ ok: false, text: "" }));
    if (ok || text) put(part, text); else part.textContent = "This part could not be loaded.";
  }

  // Tables that grow: a link to the next page appends its rows instead.
  async function grow(link) {
    link.setAttribute("aria-busy", "true");
    const { ok, text } = await load(link.href).catch(() => ({ ok: false, text: "" }));
    if (!ok) { location.href = link.href; return; }
    const parked = document.createElement("template");
    parked.innerHTML = text;
    const wanted = link.closest("[data-grows]");
    const fresh = parked.content.querySelector("[data-grows]");
    const rows = [...$("tbody", fresh).children];
    $("tbody", wanted).append(...rows);
    rows.forEach(localise);
    const more = $(".more", fresh);
    $(".more", wanted).replaceWith(more ?? document.createComment("end"));
    const shown = $$("tbody tr", wanted).length;
    const counter = $("[data-shown]", wanted);
    if (counter) counter.textContent = shown.toLocaleString();
    rows[0]?.querySelector("a")?.focus({ preventScroll: true });
  }

  // The manifest editor: line numbers, and what is wrong, where it is wrong.
  function edit(editor) {
    const area = $("textarea", editor), gutter = $(".gutter", editor), form = editor.closest("form");
    const list = $("[data-faults]", form), state = $("[data-checked]", form);
    let faults = [], timer, turn = 0;
    function number() {
      const lines = area.value.split("\n").length, wrong = new Set(faults.map((fault) => fault.line));
      gutter.replaceChildren(...Array.from({ length: lines }, (_, n) => { const s = document.createElement("span"); s.textContent = n + 1; if (wrong.has(n + 1)) s.className = "faulty"; return s; }));
      gutter.scrollTop = area.scrollTop;
    }
    function jump(line) {
      const start = area.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
      const end = area.value.indexOf("\n", start);
      area.focus();
      area.setSelectionRange(start, end < 0 ? area.value.length : end);
      area.scrollTop = Math.max(0, (line - 6) * parseFloat(getComputedStyle(area).lineHeight));
    }
    async function check() {
      const mine = ++turn;
      state.textContent = "Checking …";
      const body = new FormData();
      body.set("csrf", form.elements.csrf.value);
      body.set("manifest", area.value);
      const { ok, text } = await load(editor.dataset.check, { method: "POST", body }).catch(() => ({ ok: false }));
      if (mine !== turn) return;
      if (!ok) { state.textContent = "It could not be checked."; return; }
      faults = JSON.parse(text).faults;
      state.textContent = faults.length ? `${faults.length} to mend` : "Valid";
      state.className = faults.length ? "bad" : "good";
      area.setAttribute("aria-invalid", faults.length ? "true" : "false");
      list.replaceChildren(...faults.map((fault) => {
        const item = document.createElement("li"), button = document.createElement("button");
        button.type = "button";
        button.append(Object.assign(document.createElement("code"), { textContent: fault.line ? `line ${fault.line}` : "" }), ` ${fault.path}: ${fault.message}`);
        button.addEventListener("click", () => fault.line && jump(fault.line));
        item.append(button);
        return item;
      }));
      number();
    }
    area.addEventListener("input", () => { number(); clearTimeout(timer); timer = setTimeout(check, 350); });
    area.addEventListener("scroll", () => { gutter.scrollTop = area.scrollTop; });
    area.addEventListener("keydown", (event) => {
      if (event.key === "Tab" && !event.shiftKey && !event.altKey && area.selectionStart !== area.selectionEnd) return;
      if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) form.requestSubmit();
    });
    number();
    check();
  }

  function prepare(from) {
    localise(from);
    $$("[data-live]", from).forEach(live);
    $$("[data-load]", from).forEach(late);
    $$("[data-check]", from).forEach(edit);
    $$("[data-auto] select", from).forEach((select) => select.addEventListener("change", () => select.form.requestSubmit()));
    $$("[data-fill]", from).forEach((select) => select.addEventListener("change", () => {
      const chosen = select.selectedOptions[0], target = document.getElementById(select.dataset.fill);
      if (chosen?.dataset.text && target) { target.value = chosen.dataset.text; target.dispatchEvent(new Event("input")); }
    }));
  }

  // Asking before what cannot be undone.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.confirm && !form.dataset.sure) {
      event.preventDefault();
      const dialog = $("#confirm");
      $("p", dialog).textContent = form.dataset.confirm;
      dialog.showModal();
      dialog.onclose = () => { if (dialog.returnValue === "yes") { form.dataset.sure = "1"; form.requestSubmit(event.submitter ?? undefined); } };
      return;
    }
    if (form.method === "post") setTimeout(() => $$("button:not([type=button])", form).forEach((button) => { button.disabled = true; }));
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) $$("form button:disabled").forEach((button) => { button.disabled = false; }); });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-more]");
    if (link && !event.metaKey && !event.ctrlKey) { event.preventDefault(); grow(link); }
    const copy = event.target.closest("[data-copy]");
    if (copy) navigator.clipboard?.writeText(copy.dataset.copy).then(() => { copy.textContent = "Copied"; });
    if (event.target.closest("[data-menu]")) {
      const open = $(".side").classList.toggle("open");
      $("[data-menu]").setAttribute("aria-expanded", String(open));
    }
    if (event.target.closest("[data-theme-switch]")) {
      const dark = root.dataset.theme === "dark" || (root.dataset.theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
      root.dataset.theme = dark ? "light" : "dark";
      document.cookie = `assay_theme=${root.dataset.theme};path=/;max-age=31536000;samesite=lax`;
    }
    if (event.target.closest("[data-keys]")) $("#keys").showModal();
  });

  // Keys: g and a letter goes somewhere, j and k move along a table, ? shows all of them.
  let waiting = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
    const key = event.key;
    if (waiting) { waiting = false; const link = $(`[data-key="${CSS.escape(key)}"]`); if (link) { event.preventDefault(); link.click(); } return; }
    if (key === "g") { waiting = true; setTimeout(() => { waiting = false; }, 1200); return; }
    if (key === "?") { $("#keys")?.showModal(); return; }
    if (key === "/") { const field = $("main input[type=search], main input[type=text]"); if (field) { event.preventDefault(); field.focus(); } return; }
    const press = $(`[data-press="${CSS.escape(key)}"]`);
    if (press) { event.preventDefault(); press.click(); return; }
    if (key === "j" || key === "k") {
      const rows = $$("table.rows tbody tr").filter((row) => $("a", row));
      if (!rows.length) return;
      const at = rows.findIndex((row) => row.classList.contains("at"));
      const next = Math.max(0, Math.min(rows.length - 1, at + (key === "j" ? 1 : -1)));
      rows[at]?.classList.remove("at");
      rows[next].classList.add("at");
      $("a", rows[next]).focus();
    }
  });

  prepare(document);
})();
