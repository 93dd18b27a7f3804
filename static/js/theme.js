// Light, dark or the system's wish, without a reload. Without this file the same form posts.

const root = document.documentElement;

function choose(theme) {
  if (theme === "system") delete root.dataset.bsTheme;
  else root.dataset.bsTheme = theme;
  for (const button of document.querySelectorAll("[data-theme-choice] button")) {
    button.setAttribute("aria-pressed", String(button.value === theme));
  }
  dispatchEvent(new Event("belay:theme"));
}

addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-theme-choice]") || !event.submitter) return;
  event.preventDefault();
  const body = new FormData(form, event.submitter);
  // The server keeps the choice in its cookie, so that the next page is painted right at once.
  fetch(form.action, { method: "POST", body, redirect: "manual" })
    .then(() => choose(event.submitter.value))
    .catch(() => form.submit());
});
