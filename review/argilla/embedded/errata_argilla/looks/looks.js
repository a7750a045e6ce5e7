// Reports which records are on the screen, and that their form is being used.
// In: Argilla's review page. Out: POSTs to our own server, one per record and kind of event.
(() => {
  const LOOK_EVERY_MS = 250;
  const MOST_RECORDS = 100;
  // Keys that move about without saying anything about the record.
  const MOVES = /^(Shift|Control|Alt|Meta|Tab|Escape|CapsLock|Arrow.*|Page.*|Home|End)$/;
  const told = new Set();

  const token = () => window.localStorage.getItem("auth._token.local") || "";

  function tell(recordIds, acted) {
    const bearer = token();
    if (!bearer.startsWith("Bearer ")) return;
    const key = (id) => `${acted} ${id} ${bearer}`;
    const fresh = recordIds.filter((id) => !told.has(key(id))).slice(0, MOST_RECORDS);
    if (!fresh.length) return;
    fresh.forEach((id) => told.add(key(id)));
    const again = () => fresh.forEach((id) => told.delete(key(id)));
    fetch(new URL("api/v1/errata/looks", document.baseURI), {
      method: "POST",
      keepalive: true,
      headers: { Authorization: bearer, "Content-Type": "application/json" },
      body: JSON.stringify({ record_ids: fresh, acted }),
    }).then((answer) => {
      // Refused for good is not worth asking again; too many or a fault is.
      if (answer.status === 429 || answer.status >= 500) window.setTimeout(again, 5000);
    }, () => window.setTimeout(again, 5000));
  }

  // Argilla's components hang on their elements, as in every Vue 2 page.
  const component = (element) => element.__vue__ || {};

  function isOnScreen(element) {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < window.innerHeight;
  }

  const records = () => [...document.querySelectorAll(".record__wrapper")];
  const ids = (found) => found.map((record) => record && record.id).filter(Boolean);

  function look() {
    if (document.visibilityState !== "visible") return;
    tell(ids(records().filter(isOnScreen).map((element) => component(element).record)), false);
  }

  function touched() {
    const form = document.querySelector(".questions-form");
    if (!form) return [];
    const chosen = records().map((element) => component(element).selectedRecords).find(Array.isArray);
    return chosen ? ids(chosen) : ids([component(form).record]);
  }

  function touch(event) {
    if (!event.isTrusted || MOVES.test(event.key || "")) return;
    const inForm = event.target.closest && event.target.closest(".questions-form");
    // Argilla's shortcuts also work while nothing has the focus.
    const shortcut = event.type === "keydown" && event.target === document.body;
    if (inForm || shortcut) tell(touched(), true);
  }

  window.setInterval(look, LOOK_EVERY_MS);
  document.addEventListener("keydown", touch, true);
  document.addEventListener("pointerdown", touch, true);
})();
