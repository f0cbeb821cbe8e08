"use strict";
const facts = JSON.parse(document.getElementById("facts").textContent);
const names = facts.tokens, n = names.length;
const unpack = (text) => new Uint16Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
const maps = facts.maps.map((map) => unpack(map.weights));
const canvas = document.getElementById("heat"), look = document.getElementById("look");
const spans = [...document.querySelectorAll("#text .token")];
const cell = Math.max(4, Math.min(22, Math.floor(900 / n)));
const left = cell >= 10 ? 110 : 0, top_ = cell >= 10 ? 90 : 0;
let current = 0;
// rows end at the diagonal: row r starts behind 1 + 2 + ... + r numbers
const weight = (row, column) => (column > row ? 0 : maps[current][(row * (row + 1)) / 2 + column] / 65535);
const shade = (value) => `rgba(${getComputedStyle(document.documentElement).getPropertyValue("--heat")}, ${Math.sqrt(value)})`;

function draw() {
  const ratio = window.devicePixelRatio || 1, width = left + n * cell, height = top_ + n * cell;
  Object.assign(canvas, { width: width * ratio, height: height * ratio });
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  const pen = canvas.getContext("2d"), style = getComputedStyle(document.body);
  pen.scale(ratio, ratio);
  pen.fillStyle = style.color;
  pen.font = `${Math.min(cell, 13)}px ui-monospace, monospace`;
  pen.textBaseline = "middle";
  for (let i = 0; left && i < n; i++) {
    const short = [...names[i]].slice(0, 10).join("");
    pen.textAlign = "right";
    pen.fillText(short, left - 6, top_ + (i + 0.5) * cell);
    pen.save();
    pen.translate(left + (i + 0.5) * cell, top_ - 6);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "left";
    pen.fillText(short, 0, 0);
    pen.restore();
  }
  for (let row = 0; row < n; row++) {
    for (let column = 0; column <= row; column++) {
      pen.fillStyle = shade(weight(row, column));
      pen.fillRect(left + column * cell, top_ + row * cell, cell - (cell > 6), cell - (cell > 6));
    }
  }
}

function show(row, column) {
  spans.forEach((span, at) => {
    span.style.background = at <= row ? shade(weight(row, at)) : "none";
    span.style.outline = at === row ? "2px solid var(--bar)" : "none";
  });
  const at = column ?? Array.from({ length: row + 1 }, (_, i) => i).sort((a, b) => weight(row, b) - weight(row, a))[0];
  const most = column === undefined ? "most of all " : "";
  look.textContent = `${row} ${names[row]} looks ${most}at ${at} ${names[at]}: ${(100 * weight(row, at)).toFixed(1)} %`;
}

function at(event) {
  const box = canvas.getBoundingClientRect();
  const column = Math.floor((event.clientX - box.left - left) / cell), row = Math.floor((event.clientY - box.top - top_) / cell);
  if (row >= 0 && row < n && column >= 0 && column <= row) show(row, column);
}

spans.forEach((span, row) => ["mouseenter", "focus"].forEach((kind) => span.addEventListener(kind, () => show(row))));
canvas.addEventListener("mousemove", at);
canvas.addEventListener("click", at);
document.getElementById("map").addEventListener("change", (event) => { current = Number(event.target.value); draw(); });
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
show(n - 1);
