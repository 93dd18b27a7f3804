// What keeps a page live: announcements, contact with the server, clicks that a swap must not
// swallow, and small comforts. Every page works without it.

const announcer = document.getElementById("announcer");
const told = new Map();

/** Say each change of a `data-announce` text once. The first look is silent: it is on the page. */
function announce(root, silent = false) {
  for (const element of root.querySelectorAll("[data-announce]")) {
    const key = element.dataset.cluster || element.dataset.testid || element.id;
    const text = element.dataset.announce;
    if (told.get(key) === text) continue;
    told.set(key, text);
    if (!silent && announcer) announcer.textContent = text;
  }
}
announce(document, true);
document.body.addEventListener("htmx:afterSettle", () => announce(document));

// -- Swaps ----------------------------------------------------------------------------------------
// A button that is replaced between press and release never gets its click. While a pointer is
// down inside a polled part, that part waits for its next turn.
let pressed = null;
addEventListener("pointerdown", (event) => { pressed = event.target; }, true);
for (const name of ["pointerup", "pointercancel"]) {
  addEventListener(name, () => setTimeout(() => { pressed = null; }, 50), true);
}

const open = () => [...document.querySelectorAll("details[id][open]")].map((each) => each.id);
let wasOpen = [];

document.body.addEventListener("htmx:beforeSwap", (event) => {
  const { target, xhr, requestConfig } = event.detail;
  // A session that ended answers a fragment with the login page: show it whole instead.
  const wanted = new URL(requestConfig.path, location.href).pathname;
  const got = xhr.responseURL ? new URL(xhr.responseURL).pathname : wanted;
  if (got !== wanted && got.startsWith("/login")) {
    event.detail.shouldSwap = false;
    location.reload();
    return;
  }
  const polled = requestConfig.verb === "get" && target.matches("[data-polled]");
  if (polled && pressed && target.contains(pressed)) event.detail.shouldSwap = false;
  wasOpen = open();
});
document.body.addEventListener("htmx:oobBeforeSwap", (event) => {
  // What has not changed stays: hover, scroll and selection in it survive the second.
  const { target, fragment } = event.detail;
  const fresh = fragment.firstElementChild;
  if (pressed && target.contains(pressed)) event.detail.shouldSwap = false;
  if (fresh && plain(fresh) === plain(target)) event.detail.shouldSwap = false;
});
document.body.addEventListener("htmx:afterSwap", () => {
  for (const id of wasOpen) document.getElementById(id)?.setAttribute("open", "");
});

function plain(element) {
  const copy = element.cloneNode(true);
  copy.removeAttribute("hx-swap-oob");
  // What somebody opened is opened again after a swap; it is no news.
  for (const each of copy.querySelectorAll("details[id]")) each.removeAttribute("open");
  return `${copy.className}|${copy.innerHTML}`;
}

// -- Contact --------------------------------------------------------------------------------------
// A page that hears nothing must not look calm: what it shows may be old.
let lostAt = null;
let heardAt = new Date();

function contact(ok) {
  if (ok) { heardAt = new Date(); lostAt = null; } else if (!lostAt) { lostAt = heardAt; }
  document.body.classList.toggle("lost", !ok);
  for (const banner of document.querySelectorAll("[data-lost]")) {
    banner.hidden = ok;
    if (!ok) banner.querySelector("[data-lost-since]").textContent = lostAt.toLocaleTimeString();
  }
  if (!ok && announcer && announcer.dataset.contact !== "none") {
    announcer.textContent = "No contact with Belay. What you see may be old.";
  }
  if (announcer) announcer.dataset.contact = ok ? "yes" : "none";
}
document.body.addEventListener("htmx:sendError", () => contact(false));
document.body.addEventListener("htmx:timeout", () => contact(false));
document.body.addEventListener("htmx:afterRequest", (event) => {
  const status = event.detail.xhr?.status || 0;
  if (status) contact(status < 500);
});

// -- Notices --------------------------------------------------------------------------------------
document.body.addEventListener("belay:refused", (event) => {
  const notice = document.createElement("div");
  notice.className = "notice notice-error";
  notice.textContent = event.detail.message;
  document.getElementById("notices")?.append(notice);
});

// -- Comforts -------------------------------------------------------------------------------------
document.body.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful && event.target.matches?.("[data-clear-after]")) event.target.reset();
});
addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
  const fill = event.target.closest?.("[data-fill-username]");
  if (fill) {
    document.getElementById("id_username").value = fill.dataset.fillUsername;
    document.getElementById("id_password").focus();
  }
});
addEventListener("keydown", (event) => {
  const menu = document.querySelector("details.menu[open]");
  if (event.key === "Escape" && menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

/** "in 12 minutes" grows old on an open page; keep it true. Same words as the server's. */
function relative(at, now) {
  const seconds = (at - now) / 1000;
  const size = Math.abs(seconds);
  const ways = (words) => (seconds > 0 ? `in ${words}` : `${words} ago`);
  for (const [length, name] of [[86400, "day"], [3600, "hour"], [60, "minute"]]) {
    if (size >= length) {
      const number = Math.floor(size / length);
      return ways(`${number} ${name}${number === 1 ? "" : "s"}`);
    }
  }
  return size < 5 ? "just now" : ways(`${Math.floor(size)} s`);
}
setInterval(() => {
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const text = relative(new Date(element.dateTime), Date.now());
    if (element.textContent !== text) element.textContent = text;
  }
}, 5000);
