"""A server full of hostile text. In: a started server and texts. Out: datasets, people, records.

The texts go in as they are: what escapes them before they reach Argilla is another layer, and is
left out here on purpose.
"""

import re
from base64 import b64encode
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import hostile
from alarms import Outside, Watch, lookups, watched
from conftest import PASSWORD, Client, Server
from playwright.sync_api import expect

PAGE = 100
TEXT_FIELDS = ("plain", "markdown", "talk", "marked_talk")
TEMPLATES = {
    "normal": "<div>{{record.fields.normal.text}} {{{record.fields.normal.text}}}</div>",
    "advanced": "<div id=a></div><script>a.innerHTML=record.fields.advanced.text</script>",
}
expect.set_options(timeout=20_000)

YES_NO = [{"value": "yes", "text": "yes"}, {"value": "no", "text": "no"}]


class Site:
    """What is hostile in it is made when it is first asked for."""

    def __init__(self, server: Server, outside: Outside, texts: list[str]) -> None:
        self.server = server
        self.outside = outside
        self.texts = texts
        self.owner = server.client()
        self.owner.http.timeout = 120

    @cached_property
    def labeler(self) -> Client:
        return self.owner.person()

    @contextmanager
    def signed_in(self, person: Client, folder: Path):
        """Watch the pages of one person from the sign-in on; fail if a name was looked up."""
        self.outside.visits.clear()
        with watched(self.server.url, self.outside, folder) as watch:
            watch.page.set_default_timeout(20_000)
            watch.open("/sign-in")
            watch.page.fill("input[type=text]", person.me["username"])
            watch.page.fill("input[type=password]", PASSWORD)
            watch.page.keyboard.press("Enter")
            expect(watch.page.get_by_text("Your datasets")).to_be_visible(timeout=20_000)
            yield watch
            watch.quiet("at the end")
        assert lookups(folder) == []

    def dataset(self, name: str, guidelines: str) -> str:
        workspace = self.owner.call("GET", "me/workspaces")["items"][0]["id"]
        body = {"name": name, "workspace_id": workspace, "guidelines": guidelines}
        return self.owner.call("POST", "datasets", body)["id"]

    def _field(self, dataset: str, name: str, title: str, **settings: object) -> None:
        required = name == "plain"
        body = {"name": name, "title": title, "required": required, "settings": settings}
        self.owner.call("POST", f"datasets/{dataset}/fields", body)

    def _question(self, dataset: str, name: str, text: str, **settings: object) -> None:
        body = {"name": name, "title": text[:500], "description": text[:1000]}
        body |= {"required": name == "decision", "settings": settings}
        self.owner.call("POST", f"datasets/{dataset}/questions", body)

    @cached_property
    def records(self) -> str:
        """A dataset with one record for each text, which stands in every part of the record."""
        dataset = self.dataset("records", "\n\n".join(self.texts)[:10_000])
        for name in TEXT_FIELDS:
            kind, marked = "chat" if "talk" in name else "text", "mark" in name
            self._field(dataset, name, name, type=kind, use_markdown=marked)
        for name, template in TEMPLATES.items():
            settings = {"template": template, "advanced_mode": name == "advanced"}
            self._field(dataset, name, name, type="custom", **settings)
        self._field(dataset, "picture", "picture", type="image")
        self._question(dataset, "decision", "decide", type="label_selection", options=YES_NO)
        self._question(dataset, "comment", "comment", type="text", use_markdown=False)
        self._question(dataset, "marked", "marked", type="text", use_markdown=True)
        self.owner.property(dataset, "note", "terms")
        self.owner.property(dataset, "number", "integer")
        self.owner.call("PUT", f"datasets/{dataset}/publish")
        for start in range(0, len(self.texts), PAGE):
            numbers = range(start, min(start + PAGE, len(self.texts)))
            self.owner.push(dataset, *(self.record(number) for number in numbers))
        return dataset

    def record(self, number: int) -> dict:
        text = f"before{number} {self.texts[number]} after{number}"
        talk = [{"role": self.texts[number][:20], "content": text}]
        drawing = f"<svg xmlns='http://www.w3.org/2000/svg' onload='{hostile.JS}'/>"
        inert = f"data:image/svg;base64,{b64encode(drawing.encode()).decode()}"
        address = f"http://127.0.0.1:{self.outside.port}/{number}.png"
        fields = {
            **{"plain": text, "markdown": text, "talk": talk, "marked_talk": talk},
            **{"normal": {"text": text}, "advanced": {"text": text}},
            "picture": inert if number % 2 else address,
        }
        return {
            "fields": fields,
            "external_id": f"{number} {self.texts[number]}",
            "metadata": {"note": text, "number": number},
            "suggestions": {"comment": {"value": text}, "marked": {"value": text}},
        }

    @cached_property
    def questions(self) -> str:
        """A dataset whose titles, descriptions, labels and property names are hostile."""
        dataset = self.dataset("questions", self.texts[0])
        self._field(dataset, "plain", "plain", type="text", use_markdown=True)
        eighth = self.texts[::8]
        for number, text in enumerate(eighth):
            self._field(dataset, f"f{number}", text[:500], type="text", use_markdown=True)
        options = [
            {"value": f"{number} {text}"[:200], "text": text[:500], "description": text[:1000]}
            for number, text in enumerate(self.texts)
        ]
        ranked = options[::4]
        chosen = {"type": "label_selection", "options": options}
        self._question(dataset, "decision", self.texts[1], **chosen)
        chosen["type"] = "multi_label_selection"
        self._question(dataset, "several", self.texts[2], **chosen)
        self._question(dataset, "order", self.texts[3], type="ranking", options=ranked)
        spans = {"type": "span", "field": "plain", "options": options, "visible_options": 3}
        self._question(dataset, "spans", self.texts[4], **spans)
        for number, text in enumerate(self.texts):
            self._question(dataset, f"q{number}", text, type="text", use_markdown=False)
            self._property(dataset, number, text)
        self.owner.call("PUT", f"datasets/{dataset}/publish")
        suggestions = {f"q{number}": {"value": text} for number, text in enumerate(self.texts)}
        suggestions["decision"] = {"value": options[0]["value"], "agent": "agent", "score": 0.5}
        order = [{"value": each["value"], "rank": rank + 1} for rank, each in enumerate(ranked)]
        suggestions["order"] = {"value": order}
        suggestions["spans"] = {"value": [{"label": options[0]["value"], "start": 0, "end": 5}]}
        record = {
            "fields": {"plain": "words to mark", **{f"f{n}": "x" for n in range(len(eighth))}},
            "metadata": {f"m{number}": text for number, text in enumerate(self.texts)},
            "suggestions": suggestions,
        }
        self.owner.push(dataset, record)
        return dataset

    def _property(self, dataset: str, number: int, text: str) -> None:
        settings = {"type": "terms", "values": [text, f"{number}"]}
        body = {"name": f"m{number}", "title": text[:500], "settings": settings}
        body["visible_for_annotators"] = True
        self.owner.call("POST", f"datasets/{dataset}/metadata-properties", body)

    def small(self, name: str, guidelines: str) -> str:
        """Make a dataset with one record, hostile in its name and its guidelines alone."""
        dataset = self.dataset(name[:200], guidelines)
        self._field(dataset, "plain", "plain", type="text", use_markdown=True)
        self._question(dataset, "decision", "x", type="label_selection", options=YES_NO)
        self.owner.call("PUT", f"datasets/{dataset}/publish")
        self.owner.push(dataset, {"fields": {"plain": "x"}})
        return dataset

    @cached_property
    def people(self) -> list[Client]:
        """Hostile names of workspaces and people; what Argilla refuses is as good."""
        people = []
        workspace = self.owner.call("GET", "me/workspaces")["items"][0]["id"]
        for number, text in enumerate(self.texts):
            name = f"{number} {text}"[:200]
            self.owner.status("POST", "workspaces", {"name": name})
            user = {"username": name, "first_name": text[:100], "role": "annotator"}
            answer = self.owner.http.post("users", json={**user, "password": PASSWORD})
            if answer.is_success:
                added = {"user_id": answer.json()["id"]}
                self.owner.call("POST", f"workspaces/{workspace}/users", added)
                people.append(Client(self.server.url, answer.json()["api_key"]))
        return people

    @cached_property
    def named(self) -> list[str]:
        """Datasets of hostile names."""
        return [self.small(f"{number} {text}", text) for number, text in enumerate(self.texts)]


def queue(dataset: str, status: str = "pending") -> str:
    return f"/dataset/{dataset}/annotation-mode?status={status}&sort=metadata.number.asc"


def walk(site: Site, watch: Watch, rest: int) -> None:
    """Look at one record after the other, and listen after so many of them."""
    watch.open(queue(site.records))
    for number in range(len(site.texts)):
        if number:
            watch.page.locator(".pagination__button").nth(1).click()
        readable(watch, number, len(site.texts))
        watch.page.evaluate(POKE)
        assert not watch.page.locator(".questions-form input:checked").count(), "answered by a text"
        if number % rest == 0:
            watch.quiet(site.texts[number])


def readable(watch: Watch, number: int, count: int) -> None:
    """Wait until a record is there, and see that it can be read and answered."""
    place = watch.page.get_by_text(f"{number + 1} of {count}", exact=True)
    expect(place).to_be_visible()
    framed = watch.page.locator(".text_field_component iframe")
    if framed.count():
        expect(framed.first).to_have_attribute("style", re.compile("height"))
    watch.until(lambda: not faults(watch, number))
    assert faults(watch, number) == {}


def faults(watch: Watch, number: int) -> dict[str, object]:
    """Return what of a record can not be read, and what can not be answered."""
    seen = watch.page.evaluate(VISIBLE)
    here = re.compile(rf"before{number}\b")
    unread = {name: text for name, text in seen["fields"] if not here.search(text)}
    found = {
        "missing": set(TEXT_FIELDS) ^ {name for name, _ in seen["fields"]},
        "unread": unread,
        "suggested": "" if len(here.findall(seen["suggested"])) == 2 else seen["suggested"],
        "covered": seen["covered"],
        "astray": seen["astray"],
    }
    return {fault: what for fault, what in found.items() if what}


VISIBLE = """
() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const framed = (frame) => frame.contentDocument?.documentElement?.textContent;
  const fields = all(".record .text_field_component, .record .chat").map((field) => [
    field.querySelector("span").innerText,
    [field.innerText, ...[...field.querySelectorAll("iframe")].map(framed)].join(" "),
  ]);
  const covered = all(":is(.footer-form, .pagination) button:enabled").filter((button) => {
    const box = button.getBoundingClientRect();
    return !button.contains(
      document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)
    );
  });
  const suggested = document.querySelector(".questions-form")?.innerText ?? "";
  const labels = all(".questions-form label[for]");
  const astray = labels.filter((label) => !label.control?.closest(".questions-form"));
  const names = (found) => found.map((element) => element.innerText);
  if (labels.length !== 2) astray.push(document.body);
  return { fields, suggested, covered: names(covered), astray: names(astray) };
}
"""
POKE = """
() => {
  // A link may be followed by a person; here only what a link runs by itself is looked for.
  const stay = (event) => {
    const link = event.target.closest("a");
    if (link && /^https?:$/.test(link.protocol)) event.preventDefault();
  };
  const frames = [...document.querySelectorAll(".record iframe")].map((at) => at.contentDocument);
  for (const page of [document, ...frames]) {
    const ours = page === document;
    const where = ours ? ".record *, .questions-form .markdown-render *" : "body *";
    page.addEventListener("click", stay, true);
    for (const element of page.querySelectorAll(where)) {
      // Argilla's own buttons have classes.
      if (ours && element.closest("button")?.className) continue;
      for (const kind of ["mouseover", "pointerenter", "focus", "blur", "input", "toggle"]) {
        element.dispatchEvent(new Event(kind));
      }
      element.dispatchEvent(new MouseEvent("click", { cancelable: true, bubbles: true }));
      if (element.tagName === "FORM") element.requestSubmit();
    }
    page.removeEventListener("click", stay, true);
  }
}
"""
