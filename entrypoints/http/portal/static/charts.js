// Drawings of turns as SVG: a timeline, and plots of times. They get numbers and give elements back.

import { el, svg } from "./dom.js";
import { duration } from "./words.js";

const WIDTH = 1080;
const ROWS = 24;
const FEWEST = 6;

export function quantile(values, share) {
  if (!values.length) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

/** Bars from request to end, in rows so that none covers another. `from`, `to`: milliseconds since 1970. */
export function timeline(turns, from, to) {
  const x = (at) => ((at - from) / (to - from)) * WIDTH;
  const ends = new Array(ROWS).fill(-Infinity);
  let used = FEWEST;
  const bars = [];
  for (const turn of [...turns].reverse()) {
    const begin = Math.max(from, Date.parse(turn.askedAt)), end = turn.endedAt ? Date.parse(turn.endedAt) : to;
    if (end < from) continue;
    let row = ends.findIndex((until) => until <= x(begin) - 2);
    if (row < 0) row = ROWS - 1;
    used = Math.max(used, row + 1);
    ends[row] = Math.max(x(end), x(begin) + 3);
    const kind = turn.outcome ?? turn.state;
    bars.push(svg("rect", { x: x(begin).toFixed(1), y: row * 9 + 2, width: Math.max(3, x(end) - x(begin)).toFixed(1), height: 7, rx: 2, class: kind },
      svg("title", {}, `${turn.agentName.slice(0, 80)}: ${kind}${turn.code ? ` (${turn.code})` : ""}, ${duration((end - begin) / 1000)}`)));
  }
  const height = used * 9 + 26;
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": `Timeline of ${bars.length} turns` }, bars, hours(from, to, x, height));
}

function hours(from, to, x, height) {
  const marks = [], step = 10 * 60 * 1000;
  for (let at = Math.ceil(from / step) * step; at < to; at += step) {
    marks.push(svg("line", { x1: x(at), x2: x(at), y1: 0, y2: height - 18, class: "axis" }));
    if (x(at) < WIDTH - 60) marks.push(svg("text", { x: x(at) + 3, y: height - 5 }, minute(at)));
  }
  return marks;
}

/** Median and 95th percentile of seconds, in pieces of five minutes. `samples`: [milliseconds since 1970, seconds]. */
export function times(samples, from, to, label) {
  const width = 520, height = 170, left = 52, bottom = 22, pieces = Math.max(1, Math.round((to - from) / 300000));
  const groups = Array.from({ length: pieces }, () => []);
  for (const [at, seconds] of samples) {
    const index = Math.floor(((at - from) / (to - from)) * pieces);
    if (index >= 0 && index < pieces && Number.isFinite(seconds)) groups[index].push(seconds);
  }
  const points = groups.map((group, index) => ({ index, median: quantile(group, 0.5), high: quantile(group, 0.95) })).filter((point) => Number.isFinite(point.median));
  if (!points.length) return el("p", { class: "empty" }, "Nothing yet.");
  const top = Math.max(0.001, ...points.map((point) => point.high));
  const x = (index) => left + ((index + 0.5) / pieces) * (width - left - 8), y = (value) => 10 + (1 - value / top) * (height - bottom - 14);
  const path = (of) => points.map((point, n) => `${n ? "L" : "M"}${x(point.index).toFixed(1)},${y(point[of]).toFixed(1)}`).join("");
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${label}: median and 95th percentile` },
    [0, 0.5, 1].map((share) => [svg("line", { x1: left, x2: width, y1: y(top * share), y2: y(top * share), class: "axis" }), svg("text", { x: 0, y: y(top * share) + 4 }, duration(top * share))]),
    svg("path", { d: path("high"), class: "line high" }), svg("path", { d: path("median"), class: "line" }),
    points.flatMap((point) => [svg("circle", { cx: x(point.index), cy: y(point.high), r: 2.5, class: "dot high" }), svg("circle", { cx: x(point.index), cy: y(point.median), r: 3, class: "dot" },
      svg("title", {}, `median ${duration(point.median)}, 95 % ${duration(point.high)}`))]),
    [0, 0.5, 1].map((share) => svg("text", { x: left + share * (width - left - 40), y: height - 4 }, minute(from + share * (to - from)))));
}

function minute(at) {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
}
