"use strict";
// Sort, filter, search, theme, origins. Everything that is read is in the page without this.
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  for (const hidden of all(".search, .tools, .filters")) hidden.hidden = false;

  // ---- theme: the system's, until the reader chooses
  const root = document.documentElement;
  const dark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const store = { get: (key) => { try { return localStorage.getItem(key); } catch { return null; } },
                  set: (key, value) => { try { localStorage.setItem(key, value); } catch { /* a private window */ } } };
  if (store.get("vtbench-theme")) root.dataset.theme = store.get("vtbench-theme");
  one("#theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    store.set("vtbench-theme", root.dataset.theme);
  });

  // ---- sort: by the first number of a cell, else by its words; empty cells stay below
  const number = /[-+−]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?/;
  const valueOf = (row, column) => {
    const text = row.cells[column]?.textContent.trim() ?? "";
    const found = row.cells[column]?.tagName === "TD" ? text.match(number) : null;
    return { text, number: found ? parseFloat(found[0].replace("−", "-").replaceAll(",", "")) : null };
  };
  const sort = (table, header, column) => {
    const body = table.tBodies[0];
    table.printedOrder ??= [...body.rows];
    const next = { none: header.classList.contains("num") ? "descending" : "ascending" };
    next.ascending = header.classList.contains("num") ? "none" : "descending";
    next.descending = header.classList.contains("num") ? "ascending" : "none";
    const order = next[header.getAttribute("aria-sort") ?? "none"];
    for (const other of all("th[aria-sort]", table)) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", order);
    const rows = [...table.printedOrder];
    if (order !== "none") {
      const values = new Map(rows.map((row) => [row, valueOf(row, column)]));
      const sign = order === "ascending" ? 1 : -1;
      rows.sort((a, b) => {
        const [x, y] = [values.get(a), values.get(b)];
        if (!x.text || !y.text) return !x.text - !y.text;
        if (x.number !== null && y.number !== null) return sign * (x.number - y.number);
        if (x.number !== null || y.number !== null) return (x.number === null) - (y.number === null);
        return sign * x.text.localeCompare(y.text);
      });
    }
    body.append(...rows);
  };
  for (const table of all("table.sortable")) {
    const row = table.tHead.rows[table.tHead.rows.length - 1];
    [...row.cells].forEach((header, column) => {
      header.setAttribute("aria-sort", "none");
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => sort(table, header, column));
    });
  }

  // ---- filters of rows and of claims; the search is of rows
  const search = one("#search");
  const lists = all(".filters").map((form) => {
    const rows = all(`#${form.dataset.of} tbody tr`), filters = all("select", form), said = form.querySelector("output");
    const inWords = (row) => [...row.cells].filter((cell) => !cell.classList.contains("num")).map((cell) => cell.textContent);
    const words = new Map(rows.map((row) => [row, inWords(row).join(" ").toLowerCase()]));
    const show = () => {
      const asked = form.dataset.of === "index" ? search.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
      let shown = 0;
      for (const row of rows) {
        const fits = filters.every((f) => !f.value || row.dataset[f.name].split("|").includes(f.value))
          && asked.every((word) => words.get(row).includes(word));
        row.hidden = !fits;
        shown += fits;
      }
      said.textContent = shown === rows.length ? "" : `${shown} of ${rows.length}`;
    };
    for (const filter of filters) filter.addEventListener("change", show);
    form.addEventListener("submit", (event) => event.preventDefault());
    return { of: form.dataset.of, rows, show };
  });
  const index = lists.find((list) => list.of === "index");
  search.addEventListener("input", () => {
    index.show();
    one("#search-said").textContent = index.rows.some((row) => !row.hidden) ? "" : "No row fits these words and filters.";
    if (search.value) one("#rows").scrollIntoView({ block: "start" });
  });
  one(".search").addEventListener("submit", (event) => {
    event.preventDefault();
    const found = index.rows.find((row) => !row.hidden);
    if (found) location.hash = found.querySelector("a").hash;
  });

  // ---- links into what is folded
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let fold = target; fold; fold = fold.parentElement?.closest("details")) if (fold.tagName === "DETAILS") fold.open = true;
    target.scrollIntoView({ block: target.tagName === "TR" ? "center" : "start" });
  };
  addEventListener("hashchange", open);
  if (location.hash) open();

  // ---- paper has nothing to click: what is folded is open on it
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    for (const fold of folded) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of folded) fold.open = false;
    folded = [];
  });

  // ---- origins: where the number under the pointer comes from
  const line = one("#origin"), button = one("#origins");
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    line.hidden = !on;
    line.textContent = on ? "Point at a number." : "";
  });
  for (const kind of ["mouseover", "click"]) {
    document.addEventListener(kind, (event) => {
      const origin = event.target.closest?.("[data-origin]");
      if (!line.hidden && origin) line.textContent = `${origin.textContent.trim().slice(0, 60)} = ${origin.dataset.origin}`;
    });
  }
})();
