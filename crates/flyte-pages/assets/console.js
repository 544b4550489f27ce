// Shows times in the reader's time zone, and keeps a page up to date while what it shows can change.
"use strict";
(() => {
  const format = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });

  // The title keeps the time in UTC.
  const localize = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.getTime())) {
        time.textContent = format.format(at);
      }
    }
  };

  const parts = new Map();
  for (const part of document.querySelectorAll("[data-live]")) {
    parts.set(part.id, part.innerHTML);
  }
  localize(document);

  const live = document.getElementById("live");
  if (!live || !window.EventSource) {
    return;
  }
  const log = document.querySelector(".log");
  const MOST_LINES = 5000;
  const PAUSE = 2000;

  const append = (html) => {
    if (!log) {
      return;
    }
    if (log.childElementCount === 0) {
      document.querySelector("#log .hint")?.remove();
    }
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.insertAdjacentHTML("beforeend", html + "\n");
    while (log.childElementCount > MOST_LINES) {
      log.firstElementChild.remove();
    }
    if (atEnd) {
      log.scrollTop = log.scrollHeight;
    }
  };

  const refresh = async () => {
    const answer = await fetch(live.dataset.state, { redirect: "error", headers: { accept: "text/html" } });
    if (!answer.ok) {
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const fresh of page.querySelectorAll("[data-live]")) {
      const part = document.getElementById(fresh.id);
      if (parts.get(fresh.id) === fresh.innerHTML) {
        continue;
      }
      parts.set(fresh.id, fresh.innerHTML);
      localize(fresh);
      if (!part) {
        (document.getElementById("log") || live).before(document.adoptNode(fresh));
        continue;
      }
      const focused = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
      part.replaceWith(document.adoptNode(fresh));
      if (focused) {
        fresh.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
      }
    }
  };

  // One refresh at a time, and a pause between two of them.
  let running = false;
  let wanted = false;
  const changed = async () => {
    wanted = true;
    if (running) {
      return;
    }
    running = true;
    while (wanted) {
      wanted = false;
      await refresh().catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    running = false;
  };

  const source = new EventSource(live.dataset.events);
  source.addEventListener("open", () => {
    live.textContent = "This page updates itself.";
  });
  source.addEventListener("log", (event) => append(event.data));
  source.addEventListener("change", changed);
  source.addEventListener("end", () => {
    source.close();
    live.remove();
    changed();
  });
  source.addEventListener("error", () => {
    live.textContent = source.readyState === EventSource.CLOSED
      ? "Updates have stopped. Reload the page to see the current state."
      : "The server does not answer. Trying again ...";
  });
  if (log) {
    log.scrollTop = log.scrollHeight;
  }
})();
