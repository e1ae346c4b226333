"use strict";

// Theme: the system's, until the reader chooses.
const root = document.documentElement;
const stored = (() => { try { return localStorage.getItem("dasbench-theme"); } catch { return null; } })();
if (stored) root.dataset.theme = stored;
const themeButton = document.querySelector(".theme");
const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
const nameTheme = () => { themeButton.textContent = isDark() ? "Light theme" : "Dark theme"; };
themeButton.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  try { localStorage.setItem("dasbench-theme", root.dataset.theme); } catch { /* a page from disk may not store */ }
  nameTheme();
});
nameTheme();

// Sorting: a row and its fold-out are one tbody, so they move together; empty cells stay last.
function sortBy(table, header) {
  const index = [...header.parentNode.children].indexOf(header);
  const rising = header.getAttribute("aria-sort") !== "ascending";
  for (const other of header.parentNode.children) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const value = (body) => body.rows[0].cells[index].dataset.value ?? "";
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    const order = isNaN(x) || isNaN(y) ? x.localeCompare(y, "en", { numeric: true }) : x - y;
    return rising ? order : -order;
  };
  table.append(...[...table.tBodies].sort(compare));
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const header of table.tHead.rows[0].cells) {
    header.querySelector("button")?.addEventListener("click", () => sortBy(table, header));
  }
}

// Columns: the details fold away where a table is wider than its window, until the reader chooses.
for (const button of document.querySelectorAll("button.columns")) {
  const table = document.getElementById(button.getAttribute("aria-controls"));
  const frame = table.closest(".scroll");
  let chosen = false;
  const fold = (folded) => {
    table.classList.toggle("compact", folded);
    button.textContent = folded ? "Show all columns" : "Fewer columns";
    button.setAttribute("aria-expanded", String(!folded));
    table.style.setProperty("--rank", `${table.querySelector("th.rank").offsetWidth}px`);
  };
  const fit = () => {
    if (!chosen) { fold(false); if (frame.scrollWidth > frame.clientWidth) fold(true); }
    else fold(table.classList.contains("compact"));
    button.hidden = !chosen && !table.classList.contains("compact");
  };
  button.addEventListener("click", () => { chosen = true; fold(!table.classList.contains("compact")); });
  addEventListener("resize", fit);
  fit();
}

// Filtering: every word must occur somewhere in the row.
for (const input of document.querySelectorAll("input[type=search]")) {
  const table = document.getElementById(input.dataset.table);
  const count = document.getElementById(input.dataset.count);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const body of table.tBodies) {
      const text = body.dataset.text;
      body.hidden = !words.every((word) => text.includes(word));
      shown += !body.hidden;
    }
    count.textContent = `${shown} of ${table.tBodies.length} rows`;
    const hiddenRows = new Set([...table.tBodies].filter((body) => body.hidden).map((body) => body.dataset.name));
    for (const mark of input.closest("section").querySelectorAll(".plots .tip")) {
      const text = mark.querySelector("title").textContent;
      mark.style.display = [...hiddenRows].some((name) => text.startsWith(`${name},`) || text.startsWith(`${name}:`)) ? "none" : "";
    }
  });
}

// Fold-outs: built from their template when first opened, so that a page of thousands of runs stays quick.
for (const button of document.querySelectorAll(".fold")) {
  button.addEventListener("click", () => {
    const detail = document.getElementById(button.getAttribute("aria-controls"));
    const template = detail.querySelector("template");
    if (template) template.replaceWith(template.content);
    detail.hidden = !detail.hidden;
    button.setAttribute("aria-expanded", String(!detail.hidden));
  });
}

// On paper nothing can be opened.
addEventListener("beforeprint", () => {
  for (const verdicts of document.querySelectorAll(".verdicts")) verdicts.open = true;
});

// Values under the pointer: the same text as the SVG's own titles, without the browser's delay.
const hover = document.getElementById("hover");
addEventListener("pointermove", (event) => {
  const title = event.target.closest?.(".tip")?.querySelector("title");
  hover.hidden = !title;
  if (!title) return;
  hover.textContent = title.textContent;
  hover.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - hover.offsetWidth - 8)) + "px";
  hover.style.top = Math.max(4, event.clientY - 34) + "px";
});
