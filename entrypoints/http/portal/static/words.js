// Times, durations and states in words.

export function since(iso, now = Date.now()) {
  return duration((now - Date.parse(iso)) / 1000);
}

export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const s = Math.max(0, seconds);
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

export function between(from, to) {
  return from && to ? (Date.parse(to) - Date.parse(from)) / 1000 : NaN;
}

export function clock(iso) {
  return iso ? new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }) : "";
}

export function day(iso) {
  return iso ? new Date(iso).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "never";
}

export function keyWords(name) {
  if (name === null || name === undefined) return "a revoked key";
  return name === "" ? "the main key" : name;
}

export const TONES = {
  answered: "good", completed: "good", failed: "bad", stopped: "warn", cancelled: "warn", lost: "bad", running: "", queued: "",
  waiting: "", replayed: "",
};
