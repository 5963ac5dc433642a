// The "it runs" page: counts, workers and the newest jobs, read from the API every few seconds.
"use strict";

const REFRESH_MS = 3000;

async function get(path) {
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error || `The gateway answered ${response.status}.`);
  return body;
}

// Only textContent: whatever a job or a worker calls itself stays text.
function cell(name, value) {
  const element = document.createElement(name);
  element.textContent = value === null || value === undefined ? "–" : String(value);
  return element;
}

function showCounts(info) {
  const rows = [
    ["Pending jobs", info.pendingJobs],
    ["Running jobs", info.runningJobs],
    ["Jobs in all", info.totalJobs],
    ["Workers", info.totalWorkers],
    ["Broker", info.version],
  ];
  document.getElementById("counts").replaceChildren(
    ...rows.map(([label, value]) => {
      const group = document.createElement("div");
      group.append(cell("dt", label), cell("dd", value));
      return group;
    }),
  );
}

function showRows(id, rows, none) {
  const body = document.getElementById(id);
  if (rows.length === 0) {
    const only = cell("td", none);
    only.colSpan = 5;
    rows = [[only]];
  }
  body.replaceChildren(
    ...rows.map((cells) => {
      const row = document.createElement("tr");
      row.append(...cells.map((value) => (value instanceof Node ? value : cell("td", value))));
      return row;
    }),
  );
}

function showState(text, bad) {
  const state = document.getElementById("state");
  state.textContent = text;
  state.classList.toggle("bad", bad);
}

async function refresh() {
  try {
    const [info, workers, jobs] = await Promise.all([
      get("/api/info"),
      get("/api/workers/list"),
      get("/api/jobs/create?limit=10"),
    ]);
    showCounts(info);
    showRows(
      "workers",
      workers.workers.map((w) => [w.workerId, w.hostname, w.status, w.slots, w.runningJobs]),
      "No worker has registered yet.",
    );
    showRows(
      "jobs",
      jobs.jobs.map((j) => [j.jobId, j.status, j.exitCode, j.workerId, j.command]),
      "No job has been submitted yet.",
    );
    showState("It runs.", false);
  } catch (error) {
    showState(error.message, true);
  }
  setTimeout(refresh, REFRESH_MS);
}

refresh();
