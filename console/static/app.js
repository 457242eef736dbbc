// Comfort on top of pages that work without it: copy buttons, the reader's own time zone, the phone menu.
(() => {
  "use strict";
  document.documentElement.classList.add("scripted");

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      if (!source) return;
      try {
        await navigator.clipboard.writeText(source.textContent.trim());
      } catch {
        const range = document.createRange();
        range.selectNodeContents(source);
        const selection = window.getSelection();
        selection.removeAllRanges();
        selection.addRange(range);
        return;
      }
      const before = button.dataset.label ?? button.textContent;
      button.dataset.label = before;
      button.textContent = button.dataset.done;
      setTimeout(() => { button.textContent = before; }, 1800);
    });
  }

  const two = (number) => String(number).padStart(2, "0");
  const local = (moment) =>
    `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())} ${two(moment.getHours())}:${two(moment.getMinutes())}`;
  for (const time of document.querySelectorAll("time[datetime][data-local]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    time.title = time.textContent;
    time.textContent = local(moment);
  }

  const menu = document.querySelector("details.menu");
  if (menu) {
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && menu.open) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
    });
    document.addEventListener("click", (event) => {
      if (menu.open && !menu.contains(event.target)) menu.open = false;
    });
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && document.querySelector(".dialog:target")) location.hash = "";
  });
})();
